"""Places without history: what a new site would carry, told from its surroundings and from the stations that are known.

`regression` says how alike two places are, `known_days` what is known of the stations, `model` puts both together into samples of a
place's day and week, `surroundings` embeds what is given of a site, `catchment` says what it would take from its neighbours,
`forecast` answers for candidates, and `what_if` for a station under another description, without a neighbour, or with more demand.
"""
