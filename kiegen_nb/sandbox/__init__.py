"""A local server that behaves as Kie's public documentation says, so that nothing costs money.

It shares no code with the rest of the package: client and sandbox are two independent readings of one
contract, and the tests hold one against the other. It reads ``kie/catalogue.json`` as data.
"""
