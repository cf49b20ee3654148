//! Routes that lead nowhere.

use super::*;

#[test]
fn routes_keep_out() {
    let Some(place) = Place::new() else {
        return;
    };
    let server = &place.server;
    let reaches = |from: &str, address: &str| place.reaches(from, address);
    // A route of somebody else, to a network that comes to be banned.
    said(server, "ip route add 192.0.2.0/29 dev cable");
    let guard = Guard::start(server, action("route", &[]));
    guard.reconcile(&[jail("sshd", &["ssh"])], &[]);
    place.must_reach("192.0.2.7", SSH);
    place.must_reach("2001:db8:0:7::7", SSH6);
    guard.ban(&["192.0.2.7", "192.0.2.0/29", "2001:db8:0:7::/64"]);
    assert!(!reaches("192.0.2.7", SSH));
    assert!(!reaches("192.0.2.7", WEB));
    assert!(!reaches("2001:db8:0:7::7", SSH6));
    assert!(reaches("192.0.2.8", SSH), "nobody else is banned");
    assert!(reaches("2001:db8:0:8::8", SSH6), "nobody else is banned");

    for breakage in ["ip -4 route flush proto 242", "ip -6 route flush proto 242"] {
        said(server, breakage);
        place.must_be_cut_off("192.0.2.7", SSH);
        place.must_be_cut_off("2001:db8:0:7::7", SSH6);
    }
    // What nobody has ordered goes, too.
    said(
        server,
        "ip route add blackhole 192.0.2.8 proto 242 metric 242",
    );
    place.must_reach("192.0.2.8", SSH);

    guard.die();
    let guard = Guard::start(server, action("route", &[("type", "prohibit")]));
    let bans = [
        ban("sshd", "192.0.2.7", 600),
        ban("web", "192.0.2.7", 900),
        ban("sshd", "2001:db8:0:7::7", 600),
    ];
    guard.reconcile(&[jail("sshd", &["ssh"]), jail("web", &["80"])], &bans);
    assert!(!reaches("192.0.2.7", SSH));
    assert!(!reaches("2001:db8:0:7::7", SSH6));
    guard.unban(&["192.0.2.7"]);
    assert!(!reaches("192.0.2.7", SSH), "the other jail bans him too");
    guard.stop(Ending::Remove);
    assert!(reaches("192.0.2.7", SSH));
    assert!(reaches("2001:db8:0:7::7", SSH6));
    let left = said(server, "ip -4 route; ip -6 route");
    assert!(
        !left.contains("242") && left.contains("192.0.2.0/29 dev cable"),
        "{left}"
    );
}
