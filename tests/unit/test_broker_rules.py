"""What mosquitto reads: lines that stay lines, and hashes that are the ones of its own program."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tds.environment import ROOT
from tds.identity.access import broker_rules
from tds.identity.names import gateway_name, service_name


def test_a_hash_is_that_of_mosquittos_own_program(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", file, "GW-1", "pässword: $7$"], check=True, capture_output=True)
    name, _, kept = file.read_text().strip().partition(":")
    assert name == "GW-1"
    assert broker_rules.matches("pässword: $7$", kept)
    assert not broker_rules.matches("password", kept)


def test_the_same_password_has_another_hash_each_time() -> None:
    one, other = broker_rules.hashed("secret"), broker_rules.hashed("secret")
    assert one != other
    assert broker_rules.matches("secret", one)
    assert broker_rules.matches("secret", other)


@pytest.mark.parametrize("kept", ["", "secret", "$7$101$x", "$7$101$!!!!$!!!!", "$7$x$AAAA$AAAA", "$6$AAAA$AAAA"])
def test_what_is_no_hash_matches_nothing(kept: str) -> None:
    assert not broker_rules.matches("secret", kept)


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "a\rb", "a\0b", "#a", " a", "a "])
def test_a_name_that_would_not_stay_in_its_line_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="can't hold"):
        broker_rules.password_file({name: broker_rules.hashed("x")})
    with pytest.raises(ValueError, match="can't hold"):
        broker_rules.password_file({"GW-1": f"{name}:\n"})


def test_our_services_are_none_that_a_gateway_could_be() -> None:
    for name in broker_rules.SERVICES:
        assert service_name(name) == name
        with pytest.raises(Exception, match="no gateway code"):
            gateway_name(name)


def test_a_start_does_not_load_what_makes_certificates() -> None:
    """The supervisor stays for as long as the platform runs."""
    code = "import sys, tds.up; print('cryptography' in sys.modules, 'django.db' in sys.modules)"
    variables = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=variables)
    assert done.stdout == "False False\n"
