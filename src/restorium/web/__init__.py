"""The web page at ``/``: what people look at, made on the server, alive where the browser runs its one script.

Each module of ``pages`` holds the pages of one kind of thing. A page asks the native API's operations in this process
(``api``), as whoever is logged on, so that it shows the same values under the same names, and may do the same; it
holds no statement and no rule of its own. ``guard`` decides who gets in: the name the server is called by, the cookie,
where a POST comes from.

Without its script every page works by forms and links; the script swaps in what ``live`` sends.

Invariants: templates escape whatever they are given; nothing is inline and nothing comes from another host, which the
content security policy holds the browser to. Nothing is kept between requests but what goes on in repositories
(``works``), which may stop anywhere, so a crash leaves nothing half done.
"""
