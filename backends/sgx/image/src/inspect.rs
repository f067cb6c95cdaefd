//! Showing an image: for people and for scripts.

use serde_json::{Value, json};
use std::fmt::Write as _;
use veritee_platform::{Inspection, PortTable};
use veritee_sgx_format::image::is_image;
use veritee_sgx_format::{FormatError, PAGE, PageKind, SgxImage, hex};

/// Shows a file, if it is an SGX image.
#[must_use]
pub fn inspect(file: &[u8]) -> Option<Result<Inspection, String>> {
    let shown = || Ok(Inspection { json: to_json(file)?.to_string(), text: to_text(file)? });
    is_image(file).then(|| shown().map_err(|error: FormatError| error.to_string()))
}

/// Everything about an image, as JSON.
///
/// # Errors
/// Any [`FormatError`]: an image that no node would load is not shown.
pub fn to_json(file: &[u8]) -> Result<Value, FormatError> {
    let image = SgxImage::read(file)?;
    let (measured, free): (Vec<_>, Vec<_>) = image.contents.pages.iter().partition(|page| page.measured.is_some());
    let count = |kind: PageKind| measured.iter().filter(|page| page.kind == kind).count();
    let ports = image.ports().and_then(|bytes| PortTable::decode(&bytes).ok());
    let ports = ports.map(|table| {
        let ports = table.ports.iter().map(|port| {
            json!({"name": port.name, "kind": port.kind.word(), "payload": port.payload_name, "reply": port.reply_name})
        });
        json!({"rows": table.rows, "tokens": table.tokens, "state_bytes": table.state_bytes, "ports": ports.collect::<Vec<_>>()})
    });
    let (flags, xfrm) = image.sigstruct.attributes();
    Ok(json!({
        "platform": "sgx",
        "measurement": hex(&image.measurement),
        "signer": hex(&image.sigstruct.signer()),
        "product": image.sigstruct.product(),
        "version": image.sigstruct.version(),
        "attributes": {"flags": flags, "xfrm": xfrm, "debug": false},
        "file_bytes": file.len(),
        "enclave_bytes": image.contents.size,
        "pages": {
            "code": count(PageKind::EXECUTE), "data": count(PageKind::WRITE), "read_only": count(PageKind::READ),
            "threads": count(PageKind::Tcs), "not_measured": free.len(), "measured_bytes": measured.len() * PAGE,
        },
        "table": ports,
    }))
}

/// The same, for people.
///
/// # Errors
/// As [`to_json`].
pub fn to_text(file: &[u8]) -> Result<String, FormatError> {
    let shown = to_json(file)?;
    let mut text = String::new();
    let mut line = |name: &str, value: &Value| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        writeln!(text, "{name:<14}{value}").expect("a string takes everything");
    };
    for name in ["measurement", "signer", "product", "version", "file_bytes", "enclave_bytes"] {
        line(name, &shown[name]);
    }
    for (name, value) in shown["pages"].as_object().into_iter().flatten() {
        line(name, value);
    }
    for port in shown["table"]["ports"].as_array().into_iter().flatten() {
        let word = |name: &str| port[name].as_str().unwrap_or("").to_owned();
        line(&word("kind"), &Value::String(format!("{} {} {}", word("name"), word("payload"), word("reply"))));
    }
    Ok(text)
}
