use super::{modules, raw_image};
use std::fs;

#[test]
fn kernels_are_raw_or_packed() {
    let mut raw = vec![0; 64];
    raw[56..60].copy_from_slice(b"ARM\x64");
    assert_eq!(raw_image(raw.clone()).unwrap(), raw);
    let packed = super::filter("gzip", &["-c"], &raw).unwrap();
    assert_ne!(packed, raw);
    assert_eq!(raw_image(packed).unwrap(), raw);
    assert!(raw_image(b"MZ\0\0zimg".repeat(8)).unwrap_err().to_string().contains("EFI"));
    assert!(raw_image(vec![0; 64]).is_err());
    assert!(raw_image(Vec::new()).is_err());
}

#[test]
fn modules_come_after_what_they_need() {
    let package = tempfile::tempdir().unwrap();
    let folder = package.path().join("lib/modules/6/kernel");
    fs::create_dir_all(&folder).unwrap();
    for (name, depends) in [
        ("optee", "tee"),
        ("tee", ""),
        ("virtio-rng", "virtio"),
        ("virtio", ""),
        ("virtio_net", "net_failover,virtio"),
        ("net_failover", "failover"),
        ("failover", ""),
        ("other", ""),
    ] {
        fs::write(folder.join(format!("{name}.ko")), format!("\0depends={depends}\0name={name}\0")).unwrap();
    }
    let names: Vec<String> = modules(package.path()).unwrap().into_iter().map(|(name, _)| name).collect();
    let wanted =
        ["failover.ko", "net_failover.ko", "virtio.ko", "virtio_net.ko", "virtio_rng.ko", "tee.ko", "optee.ko"];
    assert_eq!(names, wanted);
}
