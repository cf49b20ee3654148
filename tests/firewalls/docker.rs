//! Containers: a machine as Docker makes it, with a bridge, its chains, and a published port.

use super::*;

/// What Docker does when it starts, as far as one port is concerned: a chain for users stays if it is there already.
const DOCKER: &str = "
iptables -N DOCKER
iptables -N DOCKER-USER 2>/dev/null
iptables -A DOCKER-USER -j RETURN
iptables -P FORWARD DROP
iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A FORWARD -o docker0 -j DOCKER
iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
iptables -A DOCKER -d 172.18.0.2 ! -i docker0 -o docker0 -p tcp --dport 80 -j ACCEPT
iptables -I FORWARD -j DOCKER-USER
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A POSTROUTING -s 172.18.0.0/16 ! -o docker0 -j MASQUERADE
iptables -t nat -A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80
";

/// And what is gone when it is started anew.
const RESTART: &str = "
iptables -F; iptables -X DOCKER; iptables -X DOCKER-USER
iptables -t nat -F; iptables -t nat -X DOCKER
";

/// The published port.
const PUBLISHED: &str = "192.0.2.1:8080";

/// A container behind the server.
fn container(place: &Place) -> Option<Netns> {
    let container = Netns::new()?;
    let server = &place.server;
    server.ip("link add docker0 type bridge");
    server.ip(&format!(
        "link add port type veth peer name eth0 netns {}",
        container.name()
    ));
    server.ip("link set port master docker0");
    server.ip("link set port up");
    server.ip("link set docker0 up");
    server.add_address_to("docker0", "172.18.0.1/16");
    container.ip("link set eth0 up");
    container.add_address_to("eth0", "172.18.0.2/16");
    container.route_by("172.18.0.1");
    said(server, "echo 1 >/proc/sys/net/ipv4/ip_forward");
    Some(container)
}

fn guards_containers(parameters: &[(&str, &str)]) {
    let Some(mut place) = Place::new() else {
        return;
    };
    let Some(container) = container(&place) else {
        return;
    };
    place.listens(container.listen(80));
    let reaches = |from: &str| place.reaches(from, PUBLISHED);
    // The daemon is there before Docker.
    let guard = Guard::start(&place.server, action("ipset", parameters));
    guard.reconcile(&[jail("sshd", &["8080"])], &[]);
    shell(&place.server, DOCKER);
    place.must_reach("192.0.2.7", PUBLISHED);
    guard.ban(&["192.0.2.7"]);
    assert!(!reaches("192.0.2.7"));
    assert!(reaches("192.0.2.8"));
    // Docker starts anew.
    shell(&place.server, RESTART);
    shell(&place.server, DOCKER);
    place.must_reach("192.0.2.8", PUBLISHED);
    place.must_be_cut_off("192.0.2.7", PUBLISHED);
    guard.unban(&["192.0.2.7"]);
    assert!(reaches("192.0.2.7"));
    guard.stop(Ending::Remove);
    let left = shell(&place.server, LEFT);
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    assert!(reaches("192.0.2.8"), "what is Docker's stays");
}

#[test]
fn a_published_port_is_shut_in_the_chain_for_users() {
    guards_containers(&[("hooks", "[INPUT DOCKER-USER]"), ("port_of", "connection")]);
}

#[test]
fn a_published_port_is_shut_before_it_is_translated() {
    guards_containers(&[("hooks", "[PREROUTING]"), ("table", "raw")]);
}

#[test]
fn all_ports_of_containers_are_shut() {
    guards_containers(&[("hooks", "[INPUT FORWARD]"), ("ports", "all")]);
}
