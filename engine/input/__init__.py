"""Input: devices, scripts and replays become timed events; a mapper turns them into actions.

Only `devices.py` imports pygame.
"""
