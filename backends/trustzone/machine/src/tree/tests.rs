use super::{Damaged, Node, Tree};

fn sample() -> Tree {
    let mut root = Node::default();
    root.set("#address-cells", 2_u32.to_be_bytes().to_vec());
    root.child("chosen").set_text("bootargs", "quiet");
    root.child("memory@40000000").set("reg", vec![1, 2, 3]);
    root.child("memory@40000000").child("deep").set_text("bootargs", "");
    Tree { root, reserved: vec![(0x4000_0000, 0x1000)] }
}

#[test]
fn a_tree_is_read_as_written() {
    let bytes = sample().write(64);
    assert_eq!(Tree::read(&bytes), Ok(sample()));
    assert_eq!(usize::try_from(u32::from_be_bytes(bytes[4..8].try_into().unwrap())).unwrap(), bytes.len());
}

#[test]
fn a_property_is_changed_in_place() {
    let mut tree = sample();
    tree.root.child("chosen").set_text("bootargs", "loud");
    tree.root.child("chosen").set_text("more", "x");
    let read = Tree::read(&tree.write(0)).unwrap();
    assert_eq!(read.root.children[0].property("bootargs"), Some(&b"loud\0"[..]));
    assert_eq!(read.root.children[0].properties.len(), 2);
}

#[test]
fn every_truncation_is_refused() {
    let bytes = sample().write(0);
    // What is behind the last string is padding.
    let end = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
    for length in 0..end {
        assert_eq!(Tree::read(&bytes[..length]), Err(Damaged), "{length} bytes");
    }
}
