"""Counts to surprise to decision: one file for each signal, calibration and storage."""
