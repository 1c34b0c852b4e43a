use super::*;
use postgres_protocol::password::scram_sha_256;
use proptest::prelude::*;

const SCOPE: &str = "a cluster";

fn verifier(password: &str) -> Verifier {
    Verifier::parse(&scram_sha_256(password.as_bytes())).expect("a verifier")
}

fn run_exchange(
    verifier: &Verifier,
    password: &str,
    (mechanism, theirs): (&str, ChannelBinding),
    ours: Option<&[u8]>,
) -> Result<Proof, AuthenticationError> {
    let mut client = PasswordExchange::new(password.as_bytes(), theirs);
    let exchange =
        ServerExchange::start(verifier, ours, &sasl_initial_response(mechanism, client.message()))?;
    client.update(exchange.challenge().as_bytes()).expect("a challenge");
    let proof = exchange.finish(verifier, client.message())?;
    client.finish(proof.server_final.as_bytes()).expect("the signature");
    Ok(proof)
}

#[test]
fn only_the_right_password_is_accepted() {
    let known = verifier("correct horse");
    let unbound = || (SCRAM_SHA_256, ChannelBinding::unsupported());
    let proof = run_exchange(&known, "correct horse", unbound(), None).expect("a proof");
    assert_eq!(hash(&proof.client_key.0), known.stored_key);
    assert!(run_exchange(&known, "correct horse", unbound(), Some(b"hash")).is_ok());
    assert_eq!(
        run_exchange(&known, "wrong", unbound(), None).err(),
        Some(AuthenticationError::WrongPassword)
    );
    let unknown = Verifier::mock(&[1; 32], SCOPE, "unknown", None);
    assert_eq!(run_exchange(&unknown, "", unbound(), None).err(), Some(AuthenticationError::WrongPassword));
}

#[test]
fn channel_binding_must_match() {
    let known = verifier("p");
    let bound = |hash: &[u8]| (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash.to_vec()));
    assert!(run_exchange(&known, "p", bound(b"hash"), Some(b"hash")).is_ok());
    assert_eq!(
        run_exchange(&known, "p", bound(b"another"), Some(b"hash")).err(),
        Some(AuthenticationError::ChannelBinding)
    );
    assert!(matches!(run_exchange(&known, "p", bound(b"hash"), None), Err(AuthenticationError::Protocol(_))));
    let missed = || (SCRAM_SHA_256, ChannelBinding::unrequested());
    assert_eq!(
        run_exchange(&known, "p", missed(), Some(b"hash")).err(),
        Some(AuthenticationError::Downgrade)
    );
    assert!(run_exchange(&known, "p", missed(), None).is_ok());
    let mixed = (SCRAM_SHA_256_PLUS, ChannelBinding::unsupported());
    assert!(matches!(run_exchange(&known, "p", mixed, Some(b"hash")), Err(AuthenticationError::Protocol(_))));
}

#[test]
fn a_client_key_logs_in_without_the_password() {
    let known = verifier("p");
    let unbound = (SCRAM_SHA_256, ChannelBinding::unsupported());
    let proof = run_exchange(&known, "p", unbound, None).expect("a proof");
    let login = KeyExchange::new(&known, &proof.client_key);
    let exchange = ServerExchange::start(&known, None, &login.initial_response()).expect("a challenge");
    let (answer, signature) = login.respond(exchange.challenge().as_bytes()).expect("an answer");
    let accepted = exchange.finish(&known, answer.as_bytes()).expect("accepted");
    assert_eq!(accepted.client_key, proof.client_key);
    assert!(KeyExchange::is_signed(accepted.server_final.as_bytes(), &signature));
    assert!(!KeyExchange::is_signed(b"v=AAAA", &signature) && !KeyExchange::is_signed(b"e=no", &signature));
    let changed = verifier("p");
    let exchange = ServerExchange::start(&changed, None, &login.initial_response()).expect("a challenge");
    let (answer, _) = login.respond(exchange.challenge().as_bytes()).expect("an answer");
    assert_eq!(exchange.finish(&changed, answer.as_bytes()).err(), Some(AuthenticationError::WrongPassword));
    assert!(login.respond(b"r=another,s=AAAA,i=1").is_err());
}

#[test]
fn verifiers_are_parsed_and_mocked() {
    let text = scram_sha_256(b"p");
    assert!(Verifier::parse(&text).is_some());
    for text in [
        "",
        "md5abc",
        "SCRAM-SHA-256$",
        &text[..text.len() - 4],
        &text.replace("$4096", "$0"),
        &text.replace("$4096:", "$4096:*"),
    ] {
        assert!(Verifier::parse(text).is_none(), "{text}");
    }
    let salt = |secret: u8, user: &str| Verifier::mock(&[secret; 32], SCOPE, user, None).salt;
    assert_eq!(salt(1, "ann"), salt(1, "ann"));
    assert_ne!(salt(1, "ann"), salt(1, "bob"));
    assert_ne!(salt(1, "ann"), salt(2, "ann"));
    let iterations = |known| Verifier::mock(&[1; 32], SCOPE, "ann", known).iterations;
    assert_eq!([iterations(None), iterations(Some(0)), iterations(Some(9000))], [4096, 4096, 9000]);
    assert_eq!(format!("{:?}", verifier("p")), "Verifier");
}

#[test]
fn malformed_messages_are_refused() {
    let known = verifier("p");
    let begin =
        |message: &[u8]| ServerExchange::start(&known, None, &sasl_initial_response(SCRAM_SHA_256, message));
    assert!(begin(b"n,,n=,r=abc").is_ok());
    for message in
        [&b"n,,n=,r="[..], b"n,a=b,n=,r=abc", b"n,,m=x,n=,r=abc", b"n,,n=,r=a b", b"z,,n=,r=abc", b""]
    {
        assert!(begin(message).is_err(), "{}", String::from_utf8_lossy(message));
    }
    let exchange = begin(b"n,,n=,r=abc").expect("a challenge");
    let proof = BASE64.encode([0; 32]);
    let finish = |text: String| exchange.finish(&known, text.as_bytes()).err();
    assert!(matches!(finish(format!("c=biws,r=abc,p={proof}")), Some(AuthenticationError::Protocol(_))));
    let right = format!("c=biws,r={}", exchange.nonce);
    assert_eq!(finish(format!("{right},p={proof}")), Some(AuthenticationError::WrongPassword));
    assert!(matches!(finish(format!("{right},p=AAAA")), Some(AuthenticationError::Protocol(_))));
    assert!(matches!(finish(right), Some(AuthenticationError::Protocol(_))));
}

proptest! {
    #[test]
    fn never_panics(text: String, bytes: Vec<u8>, plus: bool, header in "(n|y|p=tls-server-end-point),,n=,r=.{0,9}") {
        let known = cached_verifier();
        let _ = Verifier::parse(&text);
        let _ = Verifier::parse(&format!("SCRAM-SHA-256${text}"));
        let _ = ServerExchange::start(known, Some(b"hash"), &bytes);
        let mechanism = if plus { SCRAM_SHA_256_PLUS } else { SCRAM_SHA_256 };
        let _ = ServerExchange::start(known, Some(b"hash"), &sasl_initial_response(mechanism, &bytes));
        if let Ok(exchange) = ServerExchange::start(known, None, &sasl_initial_response(mechanism, header.as_bytes())) {
            let _ = exchange.finish(known, &bytes);
            let _ = exchange.finish(known, format!("c={text},r=,p={text}").as_bytes());
        }
        let key = ClientKey([3; 32]);
        let login = KeyExchange::new(known, &key);
        let _ = login.respond(&bytes);
        let _ = login.respond(format!("r={}{text}", login.nonce).as_bytes());
        let _ = KeyExchange::is_signed(&bytes, &[0; 32]);
    }
}

fn cached_verifier() -> &'static Verifier {
    static KNOWN: std::sync::OnceLock<Verifier> = std::sync::OnceLock::new();
    KNOWN.get_or_init(|| verifier("p"))
}
