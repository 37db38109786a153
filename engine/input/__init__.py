"""Devices, bindings and scripted input. Only `devices` imports pygame."""
