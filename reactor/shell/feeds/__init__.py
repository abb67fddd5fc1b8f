"""The feeds: one supervisor for each kind of socket, each a coroutine that ends only when it is cancelled.

- `market_feed`: prices, on the routes `/market` and `/public`.
- `private_feed`: what happens to the account; `listen_key` holds what it is opened with.
- `order_socket`: the warm connection that orders leave by.

`supervisor` is what they share: dialling, backing off, replacing a socket with overlap. `subscriptions` and
`mute` are the parts of it that decide, without sockets or clocks.
"""
