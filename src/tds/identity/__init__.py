"""Who a gateway is, who believes it, and how that is taken back.

    authorities/  the keys that sign, their folder, the files of our TLS servers
    issued/       certificates of gateways: given, listed, running out
    factory/      a box of units from a CSV
    enrolment/    a board in the field asks for its certificate (EST)
    revocation/   whom the revocation lists name, and how far that has spread
    access/       one broker's files, and its agent

`models.py` has the tables and `names.py` the rule of a common name, for all of them.
"""
