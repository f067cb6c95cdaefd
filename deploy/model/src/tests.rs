use crate::descriptor::Descriptor;
use crate::ports::Tables;
use std::collections::BTreeMap;
use std::path::Path;
use veritee_ids::{PortKind, TypeHash};
use veritee_platform::{Port, PortTable};

fn table(kind: PortKind, name: &str, payload_bytes_max: u32) -> PortTable {
    let port = Port {
        kind,
        name: name.to_owned(),
        payload_name: "Picture".to_owned(),
        reply_name: String::new(),
        payload_type: TypeHash([7; 8]),
        reply_type: TypeHash([0; 8]),
        payload_bytes_max,
        reply_bytes_max: 0,
        emits_max: 1,
        late: false,
    };
    PortTable { rows: 4, tokens: 0, state_bytes: 0, ports: vec![port] }
}

#[test]
fn a_payload_that_is_too_large_for_one_platform_is_refused() {
    let text = "application: pictures\nnodes: { a: { platform: native } }\nmodules:\n  \
                camera: { node: a, source: { rust: x } }\n  screen: { node: a, source: { rust: x } }\n\
                connections: [{ from: camera.picture, to: screen.show }]\n";
    let descriptor = Descriptor::parse(text, Path::new("veritee.yaml")).unwrap();
    let tables: Tables = [
        ("camera".to_owned(), table(PortKind::Output, "picture", 300)),
        ("screen".to_owned(), table(PortKind::Input, "show", 300)),
    ]
    .into();
    let judge = |limit: usize| {
        let limits = BTreeMap::from([("camera".to_owned(), 65_536), ("screen".to_owned(), limit)]);
        let problems = descriptor.check_ports(&tables, &limits).problems;
        problems.into_iter().map(|problem| problem.0).collect::<Vec<_>>()
    };
    assert!(judge(300).is_empty());
    assert_eq!(
        judge(256),
        ["connection camera.picture-screen.show carries up to 300 bytes; the platform of screen takes 256"]
    );
}
