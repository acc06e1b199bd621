//! The registries as IANA prints them, held against what is refused.

use proptest::prelude::*;

use super::*;

/// IANA's registries of special-purpose addresses (RFC 6890 and its updates), multicast and what is not handed out.
const SPECIAL: [&str; 52] = [
    "0.0.0.0/8",
    "0.0.0.0/32",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.0.0/29",
    "192.0.0.8/32",
    "192.0.0.9/32",
    "192.0.0.10/32",
    "192.0.0.170/31",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.88.99.2/32",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "::1/128",
    "::/128",
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// What no allow list opens.
const NEVER: [&str; 7] = [
    "169.254.0.0/16",
    "fe80::/10",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
];

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn guard(allow: &str) -> Guard {
    Guard { allow: allow.parse().unwrap(), own: vec!["127.0.0.1:8080".parse().unwrap()] }
}

fn check(guard: &Guard, address: IpAddr) -> Result<(), Refused> {
    guard.check(address, Some(Purpose { port: 443, plain: false }))
}

/// The same place, as an IPv6 address may say it.
fn clothes(v4: Ipv4Addr) -> [IpAddr; 2] {
    let low = u128::from(v4.to_bits());
    [
        Ipv6Addr::from_bits(0xffff_0000_0000 | low).into(),
        Ipv6Addr::from_bits((0x0064_ff9b << 96) | low).into(),
    ]
}

/// An address in a net, the more likely the edges.
fn address_in(net: IpNet) -> BoxedStrategy<IpAddr> {
    match net {
        IpNet::V4(net) => {
            let inside = (net.network().to_bits()..=net.broadcast().to_bits()).prop_map(Ipv4Addr::from_bits);
            prop_oneof![Just(net.network()), Just(net.broadcast()), inside].prop_map(IpAddr::V4).boxed()
        }
        IpNet::V6(net) => {
            let inside = (net.network().to_bits()..=net.broadcast().to_bits()).prop_map(Ipv6Addr::from_bits);
            prop_oneof![Just(net.network()), Just(net.broadcast()), inside].prop_map(IpAddr::V6).boxed()
        }
    }
}

fn address_in_any(texts: &[&str]) -> impl Strategy<Value = IpAddr> {
    proptest::sample::select(nets(texts)).prop_flat_map(address_in)
}

#[test]
fn both_ends_of_every_special_range_are_refused() {
    let guard = guard("");
    for net in nets(&SPECIAL) {
        for address in [net.network(), net.broadcast()] {
            assert!(matches!(check(&guard, address), Err(Refused::Address(_))), "{address} of {net}");
            for dressed in if let IpAddr::V4(v4) = address { clothes(v4).to_vec() } else { Vec::new() } {
                assert!(matches!(check(&guard, dressed), Err(Refused::Address(_))), "{dressed} of {net}");
            }
        }
    }
}

#[test]
fn tunnels_to_anywhere_are_refused_and_public_addresses_are_not() {
    let guard = guard("");
    for refused in [
        "::ffff:127.0.0.1",
        "::ffff:0:127.0.0.1",
        "::127.0.0.1",
        "::93.184.216.34",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::93.184.216.34",
        "2002:5db8:d822::1",
        "2001:0:5db8:d822::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ] {
        assert!(matches!(check(&guard, refused.parse().unwrap()), Err(Refused::Address(_))), "{refused}");
    }
    for public in [
        "93.184.216.34",
        "::ffff:93.184.216.34",
        "64:ff9b::93.184.216.34",
        "2606:2800:220:1::1",
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::",
        "2003::",
        "3fff:1000::",
    ] {
        assert_eq!(check(&guard, public.parse().unwrap()), Ok(()), "{public}");
    }
}

#[test]
fn everything_opened_still_leaves_link_local_metadata_and_the_hub_shut() {
    let guard = guard("0.0.0.0/0,::/0");
    for never in [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:0:a9:fea9:fe00:0",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:5601:5601",
        "fe80::1",
        "fd00:ec2::254",
        "168.63.129.16",
        "100.100.100.200",
    ] {
        assert!(matches!(check(&guard, never.parse().unwrap()), Err(Refused::Address(_))), "{never}");
    }
    let to = |address: &str, port| guard.check(address.parse().unwrap(), Some(Purpose { port, plain: true }));
    for own in ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"] {
        assert!(to(own, 8080).is_err(), "{own}");
        // Who does not know the port does not know that it is another one.
        assert!(guard.check(own.parse().unwrap(), None).is_err(), "{own}");
    }
    assert_eq!(to("127.0.0.1", 9000), Ok(()));
}

#[test]
fn a_hub_that_listens_everywhere_shuts_its_own_addresses_and_no_others() {
    let guard = Guard { allow: "0.0.0.0/0".parse().unwrap(), own: vec!["0.0.0.0:443".parse().unwrap()] };
    assert!(check(&guard, "127.0.0.1".parse().unwrap()).is_err());
    assert_eq!(check(&guard, "93.184.216.34".parse().unwrap()), Ok(()));
}

#[test]
fn wrong_ranges_are_named() {
    assert!("10.0.0.0".parse::<AllowList>().unwrap_err().contains("10.0.0.0"));
    assert!("10.0.0.0/8:x".parse::<AllowList>().is_err());
    assert!("10.0.0.0/33".parse::<AllowList>().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_special_address_is_allowed_without_an_entry(address in address_in_any(&SPECIAL)) {
        prop_assert!(matches!(check(&guard(""), address), Err(Refused::Address(_))), "{}", address);
        if let IpAddr::V4(v4) = address {
            for dressed in clothes(v4) {
                prop_assert!(matches!(check(&guard(""), dressed), Err(Refused::Address(_))), "{}", dressed);
            }
        }
    }

    #[test]
    fn any_address_is_allowed_only_if_no_registry_lists_it(bits in any::<u128>(), v4 in any::<u32>(), in_2000: bool) {
        let v6 = if in_2000 { (bits >> 3) | (1 << 125) } else { bits };
        for address in [IpAddr::V4(Ipv4Addr::from_bits(v4)), IpAddr::V6(Ipv6Addr::from_bits(v6))] {
            let special = nets(&SPECIAL).iter().chain(&nets(&NEVER)).any(|net| net.contains(&address));
            let handed_out = match address { IpAddr::V4(_) => true, IpAddr::V6(v6) => v6.segments()[0] >> 13 == 1 };
            prop_assert_eq!(check(&guard(""), address).is_ok(), handed_out && !special, "{}", address);
        }
    }

    #[test]
    fn an_entry_opens_its_own_range_only_and_never_what_stays_shut(
        address in address_in_any(&SPECIAL),
        entry in address_in_any(&SPECIAL),
        length in 1u8..=32,
    ) {
        let net = IpNet::new(entry, length).unwrap().trunc();
        let guard = guard(&net.to_string());
        if check(&guard, address).is_ok() {
            prop_assert!(net.contains(&address), "{} by {}", address, net);
        }
    }

    #[test]
    fn no_entry_opens_what_is_never_opened(address in address_in_any(&NEVER)) {
        prop_assert!(check(&guard("0.0.0.0/0,::/0"), address).is_err(), "{}", address);
    }
}
