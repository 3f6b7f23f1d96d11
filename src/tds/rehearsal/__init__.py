"""`./tds rehearse`: a whole rollout of a release before it is rolled out, on a platform apart from the person's own.

The devices' own programs, the real broker, server and worker; faults at random moments; at the end what the server
believed is held against what really ran. Where to look:

- `rehearsing.py`: one rehearsal from its beginning to its end. `command.py`: its options and exit codes.
- `candidate.py`: the release, from a file or from this platform. `stage.py`: the platform apart. `devices.py`: the
  devices, which `firmware/tools/device_fleet/rehearsal.py` runs. `beliefs.py`: what the server's database says.
- `comparison.py`, `explanations.py`, `report.py`: pure: what differs, which failure a fault explains, how it is told.
"""
