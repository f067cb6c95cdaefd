//! What the router itself costs an event: from a module's output to the link, and from the link into a module and back.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use veritee_ids::{ConnectionId, Counter, Epoch, FrameKind, Status};
use veritee_node_core::{Limits, LinkIndex, ModuleIndex, Remote, RouteIn, RouteOut, Router, Time};
use veritee_wire::layout::{EntryResult, Frame};
use veritee_wire::output::FRAME;
use veritee_wire::{Layout, OutputWriter};

struct Side {
    router: Router,
    module: ModuleIndex,
    link: LinkIndex,
}

/// Two nodes that are linked, with `connections` between their modules.
fn pair(connections: u16) -> [Side; 2] {
    let mut sides = [1_u8, 2].map(|number| {
        let mut router = Router::new(Limits::default(), [number; 32], [number; 16]);
        let owner = router.add_owner([9; 32]);
        let app = router.add_application(owner, [7; 16], 1);
        let module = router.module(app, "module");
        for connection in 0..connections {
            let other = Remote::Node { identity: [3 - number; 32], address: "there:1".to_owned() };
            if number == 1 {
                router.route_out(app, connection, RouteOut { source: module, source_row: 0, target: other });
            } else {
                let route = RouteIn { target: module, target_row: 0, source: other, deadline: 0, port: 0 };
                router.route_in(Time(0), app, connection, route);
            }
        }
        let link = router.link_up(&[3 - number; 32], number == 1).expect("a peer");
        router.module_up(module, 0);
        Side { router, module, link }
    });
    for _ in 0..3 {
        carry(&mut sides, 0);
        carry(&mut sides, 1);
    }
    sides
}

fn carry(sides: &mut [Side; 2], from: usize) {
    let mut wire = Vec::new();
    let link = sides[from].link;
    sides[from].router.fill_link(link, &mut wire, usize::MAX);
    let to = &mut sides[1 - from];
    let taken = to.router.link_input(Time(0), to.link, &wire).expect("an honest node");
    assert_eq!(taken, wire.len());
}

fn output(frame: Option<Frame>) -> Vec<u8> {
    let mut bytes = vec![0; 200];
    let mut writer = OutputWriter::new(&mut bytes).expect("room");
    if let Some(header) = frame {
        header.encode(writer.record(FRAME, 96).expect("room")).expect("room");
    }
    let length = writer.finish(EntryResult { status: Status::Accepted, reserved: 0, value: 0 });
    bytes.truncate(length);
    bytes
}

const BATCH: u16 = 512;

fn one_way(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("event");
    group.throughput(Throughput::Elements(u64::from(BATCH)));
    for connections in [1, 512, 10_000] {
        let mut sides = pair(connections);
        let outputs: Vec<_> = (0..BATCH)
            .map(|number| {
                let connection = ConnectionId(number % connections);
                let (epoch, counter) = (Epoch(1), Counter(0));
                output(Some(Frame { connection, kind: FrameKind::Event, epoch, counter }))
            })
            .collect();
        let accepted = output(None);
        let mut position = [0, 0];
        group.bench_function(format!("both nodes, {connections} connections"), |bencher| {
            bencher.iter(|| {
                let [source, _] = &mut sides;
                for bytes in &outputs {
                    position[0] += 1;
                    source.router.output(Time(0), source.module, position[0], u64::MAX, bytes).expect("sound");
                }
                carry(&mut sides, 0);
                let target = &mut sides[1];
                let mut calls = Vec::with_capacity(usize::from(BATCH));
                while calls.len() < usize::from(BATCH) {
                    target.router.deliver(target.module, |call, _, _| {
                        calls.push(call);
                        true
                    });
                }
                for call in calls {
                    position[1] += 1;
                    target.router.output(Time(0), target.module, position[1], call, &accepted).expect("sound");
                }
                carry(&mut sides, 1);
                for side in &mut sides {
                    while side.router.take_release().is_some() {}
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, one_way);
criterion_main!(benches);
