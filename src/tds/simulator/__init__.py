"""Simulated gateways. They know the platform only as a real device would: by its broker."""

from tds.simulator.broker import Broker, BrokerError
from tds.simulator.config import FleetConfig, device_codes, gateway_codes
from tds.simulator.faults import Fault
from tds.simulator.fleet import Fleet, Summary

__all__ = ["Broker", "BrokerError", "Fault", "Fleet", "FleetConfig", "Summary", "device_codes", "gateway_codes"]
