//! The bouncer protocol, as it is documented.

use serde_json::{Value, json};

use super::{Board, KEY, ban};

fn values(list: &Value) -> Vec<&str> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .map(|decision| decision["value"].as_str().unwrap())
        .collect()
}

#[test]
fn only_who_has_a_key_is_answered() {
    let Some(board) = Board::new() else { return };
    for headers in [
        &[][..],
        &["--header", "X-Api-Key: tell-nobod"],
        &["--header", "X-Api-Key;"],
    ] {
        for path in [
            "/v1/decisions",
            "/v1/decisions/stream?startup=true",
            "/v1/alerts",
        ] {
            let answer = board.curl(path, headers);
            assert_eq!(answer.status, 403, "{path} {headers:?}");
            assert_eq!(answer.json(), json!({"message": "access forbidden"}));
        }
    }
    assert_eq!(board.bouncer("/v1/alerts").status, 404);
    assert_eq!(board.bouncer("/v1/decisions?ip=mallory").status, 400);
    let key = format!("X-Api-Key: {KEY}");
    let metrics = [
        "--header",
        &key,
        "--json",
        "{\"remediation_components\": []}",
    ];
    assert_eq!(board.curl("/v1/usage-metrics", &metrics).status, 201);
    assert_eq!(board.curl("/v1/decisions", &metrics).status, 405);
    board.stop();
}

#[test]
fn one_address_can_be_asked_for() {
    let Some(board) = Board::new() else { return };
    assert_eq!(
        board.bouncer("/v1/decisions?ip=192.0.2.7").body,
        "null",
        "four letters"
    );
    board.ban(&[
        ban("sshd", "192.0.2.7", Some(7200)),
        ban("nginx", "192.0.2.0/24", None),
        ban("nginx", "2001:db8::/64", Some(60)),
    ]);
    let list = board
        .bouncer("/v1/decisions?ip=192.0.2.7&scope=ip&type=ban")
        .json();
    assert_eq!(values(&list), ["192.0.2.7"]);
    let decision = &list[0];
    assert_eq!(decision["scope"], "Ip");
    assert_eq!(decision["type"], "ban");
    assert_eq!(decision["origin"], "f2bd");
    assert_eq!(decision["scenario"], "sshd");
    let duration = decision["duration"].as_str().unwrap();
    assert!(
        duration == "2h0m0s" || duration.starts_with("1h59m"),
        "{duration}"
    );
    let all = board.bouncer("/v1/decisions?ip=192.0.2.7").json();
    assert_eq!(values(&all), ["192.0.2.0/24", "192.0.2.7"]);
    assert_eq!(
        (&all[0]["scope"], &all[0]["duration"]),
        (&json!("Range"), &json!("87600h0m0s"))
    );
    let of_network = board.bouncer("/v1/decisions?ip=2001%3adb8%3a%3a9").json();
    assert_eq!(values(&of_network), ["2001:db8::/64"]);
    let within = board
        .bouncer("/v1/decisions?range=192.0.2.0/28&contains=false")
        .json();
    assert_eq!(values(&within), ["192.0.2.7"]);
    assert_eq!(values(&board.bouncer("/v1/decisions").json()).len(), 3);
    board.stop();
}

#[test]
fn a_stream_tells_each_bouncer_what_is_new_to_it() {
    let Some(board) = Board::new() else { return };
    let host = "192.0.2.7";
    board.ban(&[ban("sshd", host, Some(7200))]);
    let stream = "/v1/decisions/stream?startup=false";
    let first = board.bouncer(stream).json();
    assert_eq!(
        values(&first["new"]),
        [host],
        "who is not known is told everything"
    );
    let empty = json!({"new": null, "deleted": null});
    assert_eq!(board.bouncer(stream).json(), empty);
    board.ban(&[
        ban("nginx", host, Some(9000)),
        ban("nginx", "2001:db8::/64", None),
    ]);
    let key = format!("X-Api-Key: {KEY}");
    let head = board.curl(stream, &["--head", "--header", &key]);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let longer = board.bouncer(stream).json();
    assert_eq!(
        values(&longer["new"]),
        [host, "2001:db8::/64"],
        "a HEAD has moved nothing"
    );
    assert_eq!(longer["new"][0]["scenario"], "nginx");
    assert_eq!(longer["deleted"], Value::Null);
    board.unban("sshd", host);
    assert_eq!(
        board.bouncer(stream).json(),
        empty,
        "another jail bans it for longer"
    );
    board.unban("nginx", host);
    let free = board.bouncer(stream).json();
    assert_eq!(
        (&free["new"], values(&free["deleted"])),
        (&Value::Null, vec![host])
    );
    let other = board
        .curl(stream, &["--header", &key, "--user-agent", "another/1"])
        .json();
    assert_eq!(values(&other["new"]), ["2001:db8::/64"], "another bouncer");
    assert_eq!(
        values(&other["deleted"]),
        [host],
        "an earlier run may have told it of him"
    );
    let anew = board.bouncer("/v1/decisions/stream?startup=true").json();
    assert_eq!(values(&anew["new"]), ["2001:db8::/64"]);
    assert_eq!(anew["deleted"], Value::Null, "it begins with nobody");
    board.reconcile(&[ban("sshd", "192.0.2.8", Some(60))]);
    let changed = board.bouncer(stream).json();
    assert_eq!(values(&changed["new"]), ["192.0.2.8"]);
    assert_eq!(values(&changed["deleted"]), ["2001:db8::/64"]);
    board.stop();
}
