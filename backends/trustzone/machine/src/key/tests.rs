use super::modulus_of_pem;

/// A key of 512 bits, made for this test; it is nobody's.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MIIBVAIBADANBgkqhkiG9w0BAQEFAASCAT4wggE6AgEAAkEA2S7wmSkELtOqM17c
c2+6lkQuG2gHJSRJPb44p14t4IDvnXMKwY84C6bYrLPz4O2U7IF55vLg1Gkuuk80
BpsyvQIDAQABAkBXaFTcz20ni3iMhDklHGpz36zOyudVQ21WtCAI/BZqq7vz2sfW
jRyOSt3SOwgHgw2OgPdm+JLlPK/ieVgdBqIBAiEA7swKQPrTqNqltB5Cgv+xxEOD
U6LHKvUjM2UcOExfcLECIQDo1Etm62lNPJRSAfj9UT9Wbf7yPmzWbV7HZUKQq0KF
zQIgQEDCmY1kGlEKuRZTSzBFwstvsLdh49sl55RTLYrPO2ECIF83wwZ6K/xsU/Qd
3mgqvA5quaL0KKqg2+wL22cywufZAiEAm2bAnjfAYOhTtdxHhizixWRA+JS//VDB
SGg5ijwyUB4=
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBANku8JkpBC7TqjNe3HNvupZELhtoByUk
ST2+OKdeLeCA751zCsGPOAum2Kyz8+DtlOyBeeby4NRpLrpPNAabMr0CAwEAAQ==
-----END PUBLIC KEY-----
";
const MODULUS: &str = "d92ef09929042ed3aa335edc736fba96442e1b68072524493dbe38a75e2de080ef9d730ac18f380ba6d8acb3f3e0ed94ec8179e6f2e0d4692eba4f34069b32bd";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn both_halves_of_a_key_have_its_modulus() {
    for pem in [PRIVATE, PUBLIC] {
        assert_eq!(modulus_of_pem(pem.as_bytes()).map(|modulus| hex(&modulus)), Some(MODULUS.to_owned()));
    }
}

#[test]
fn what_is_no_key_has_none() {
    assert_eq!(modulus_of_pem(b""), None);
    assert_eq!(modulus_of_pem(b"-----BEGIN X-----\nMFww\n-----END X-----\n"), None);
    assert_eq!(modulus_of_pem(PUBLIC.replace('M', "!").as_bytes()), None);
}
