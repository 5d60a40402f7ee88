"""What pages share, in groups: each uses those before it (look, data, state, map, charts, steps, station, events)."""
