"""Paper module 2, how stations and time hang together: distance graph, seasonal mean, recurrent encoder, graph fusion."""
