"""Reliability trials: many seeded cases of what the tests do with few. Rows R1 to R10 of the project's list of trials.

Each module has one trial. A case is a number, its seed, from which everything in it follows, but for the order in which
threads of one process come to run where the trial says so.
"""
