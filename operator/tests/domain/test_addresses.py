from odeon_operator.domain.addresses import Entry, public_addresses


def test_a_load_balancer_without_an_address_publishes_none() -> None:
    assert public_addresses([], 7882) == ""
    assert public_addresses([Entry(hostname="lb.example.net"), Entry(ip="0.0.0.0")], 7882) == ""


def test_addresses_come_with_their_port_in_one_order() -> None:
    entries = [Entry(ip="203.0.113.9"), Entry(ip="2001:db8::1"), Entry(ip="198.51.100.2")]

    found = public_addresses(entries, 7882)

    assert found == "198.51.100.2:7882,203.0.113.9:7882,[2001:db8::1]:7882"
    assert public_addresses(entries[::-1], 7882) == found
