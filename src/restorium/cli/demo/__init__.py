"""`restorium demo`: the program's main job on real disks, through a real server, judged by an outside client.

A server runs as a process of its own. Jobs are made through the native API; the restore is asked for and
watched through the Enterprise Manager API by a client that knows nothing but that API's documents and follows
links. Whether it worked is decided by digests of the disk files alone.

Everything lies in one folder, new for each run. A demo that is killed leaves that folder and perhaps the
server, whose process number is in ``server/server.json``.
"""
