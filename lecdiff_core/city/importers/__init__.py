"""Importers: traffic and stations as others keep them, turned into a city folder.

`importing.import_city` is the way in. A module a layout (`long`, `wide`, `sessions`, `telecom_italia`, `c2tm`) reads
files into `Readings`; `stations` reads places, `coordinates` and `times` bring them to WGS 84 and UTC, `resample` sums
readings into the city's intervals.
"""
