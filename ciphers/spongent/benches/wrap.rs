//! Bytes per second of SPONGENT-128, and the time of one permutation.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use veritee_spongent::{Key, Spongent128, State};

fn wrap(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spongent-128");
    group.bench_function("permutation", |bencher| {
        let mut state = State::<Spongent128>::default();
        bencher.iter(|| black_box(&mut state).permute());
    });
    let key = Key::new(&[7; 16]);
    for bytes in [8_u64, 64, 1024] {
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(format!("wrap {bytes} B"), |bencher| {
            let mut body = vec![1; usize::try_from(bytes).expect("small")];
            bencher.iter(|| key.wrap_in_place(black_box(&[0; 24]), black_box(&mut body)));
        });
    }
}

criterion_group!(benches, wrap);
criterion_main!(benches);
