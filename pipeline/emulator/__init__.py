"""The ModelVerse task API rehearsed on this machine: tasks that take time, refusals, trouble, result files."""

from pipeline.emulator.app import Emulator
from pipeline.emulator.scenario import Scenario, Trouble
from pipeline.emulator.service import Statistics

__all__ = ["Emulator", "Scenario", "Statistics", "Trouble"]
