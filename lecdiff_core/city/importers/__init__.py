"""Importers: traffic and stations as others keep them, turned into a city folder.

`importing.import_city` is the way in. `forms` opens files of any form as tables (`archives`, `encodings`, `shapes`,
`spreadsheets`); `column_roles` says which columns are looked for and `columns` recognises them by the lexicon `columns.toml`. A
module a layout (`long`, `wide`, `sessions`, `telecom_italia`, `c2tm`) reads `tables` into `Readings`, with `ids`,
`amounts` and `times` of their cells, and what is wrong goes to `problems`; `stations` reads places, `coordinates`
brings them to WGS 84, `resample` sums readings into the city's intervals, and `plausibility` and `location_checks` remark on
what looks wrong.
"""
