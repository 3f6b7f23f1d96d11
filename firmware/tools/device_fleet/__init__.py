"""Many devices as programs, their identities, what they are put through, and how one looks at them.

Python alone, nothing to install: who flashes boards has no set-up of the platform's.
"""
