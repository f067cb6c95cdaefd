//! `veritee evidence`: what a module proves now, in standard forms.

use crate::application::Lasting;
use crate::exit::Exit;
use crate::grammar::{Application, Token};
use crate::printer::Printer;
use anyhow::Result;
use std::time::{SystemTime, UNIX_EPOCH};
use veritee_claims::{Appraised, base64url, ear, ear_claims, eat, jwk};
use veritee_exec::Talk as _;
use veritee_exec::deploy::appraise;

/// Attests a module and prints a token. Refused evidence is printed too, and is not a success.
pub(crate) async fn evidence(application: Application, module: &str, token: Token, printer: &Printer) -> Result<Exit> {
    let lasting = Lasting::of_module(&application, module, printer).await?;
    let appraisal = appraise(lasting.place(printer), &lasting.state, module).await?;
    let reason = appraisal.verdict.as_ref().err().map(ToString::to_string);
    let appraised = Appraised {
        application: &lasting.target.application,
        module,
        platform: lasting.target.modules.get(module).map_or("", |target| target.platform.as_str()),
        challenge: appraisal.challenge,
        evidence: &appraisal.evidence,
        verdict: appraisal.verdict.as_ref().map_err(|_| reason.as_deref().unwrap_or_default()),
        at: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
    };
    let owner = &lasting.owner.identity;
    let text = match token {
        Token::Ear => ear(&appraised, owner),
        Token::Eat => base64url(&eat(&appraised, owner)),
    };
    let claims = ear_claims(&appraised, owner);
    printer.result(&serde_json::json!({"token": text, "key": jwk(owner), "claims": claims}), || text.clone());
    if let Some(reason) = &reason {
        printer.warn(&format!("module {module}: {reason}"));
    }
    Ok(if reason.is_some() { Exit::Refused } else { Exit::Done })
}
