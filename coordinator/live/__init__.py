"""Live messages: `bus` carries them between processes, `hub` spreads them in one, `stream` orders them for a socket.

What travels here is only a hint: PostgreSQL is the record, and whoever sees a gap reads there.
"""
