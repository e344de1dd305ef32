//! Judges a key set by using it with tfhe-rs itself.
//!
//! `judge check SET DIR [LIST]`: DIR holds the three key files and a ClientKey; prints what was
//! computed as JSON. `judge generate SET SEED TAG DIR`: writes what tfhe-rs generates for a private
//! seed. `judge conform SET DIR`: loads the three key files only. Seed and tag are hexadecimal.

mod parameters;

use std::error::Error;
use std::fs;
use std::path::Path;

use tfhe::core_crypto::prelude::NormalizedHammingWeightBound;
use tfhe::prelude::*;
use tfhe::safe_serialization::{safe_deserialize, safe_deserialize_conformant, safe_serialize};
use tfhe::xof_key_set::CompressedXofKeySet;
use tfhe::*;

const LIMIT: u64 = 1 << 33;
const SECURITY_BITS: u32 = 128;

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Outcome<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| Ok(u8::from_str_radix(&text[at..at + 2], 16)?))
        .collect()
}

struct KeySet {
    public_key: CompactPublicKey,
    server_key: CompressedServerKey,
    xof: CompressedXofKeySet,
}

fn load(set: &str, directory: &Path) -> Outcome<KeySet> {
    let (config, compact) = parameters::lookup(set).ok_or("unknown parameter set")?;
    let read = |name: &str| fs::read(directory.join(name));
    Ok(KeySet {
        public_key: safe_deserialize_conformant(&read("CompactPublicKey")?[..], LIMIT, &compact)?,
        server_key: safe_deserialize_conformant(
            &read("CompressedServerKey")?[..],
            LIMIT,
            &config.into(),
        )?,
        xof: safe_deserialize_conformant(&read("CompressedXofKeySet")?[..], LIMIT, &config)?,
    })
}

fn generate(set: &str, seed: &str, tag: &str, directory: &Path) -> Outcome<()> {
    let (config, _) = parameters::lookup(set).ok_or("unknown parameter set")?;
    let mut label = Tag::default();
    label.set_data(&unhex(tag)?);
    let any_weight = NormalizedHammingWeightBound::new(1.0).ok_or("weight bound")?;
    let (client_key, xof) =
        CompressedXofKeySet::generate(config, unhex(seed)?, SECURITY_BITS, any_weight, label)?;
    let mut data = Vec::new();
    safe_serialize(&client_key, &mut data, LIMIT)?;
    fs::write(directory.join("ClientKey"), &data)?;
    data.clear();
    safe_serialize(&xof, &mut data, LIMIT)?;
    fs::write(directory.join("CompressedXofKeySet"), &data)?;
    let (_, public_key, server_key) = xof.into_raw_parts();
    data.clear();
    safe_serialize(&public_key.decompress(), &mut data, LIMIT)?;
    fs::write(directory.join("CompactPublicKey"), &data)?;
    data.clear();
    safe_serialize(&server_key, &mut data, LIMIT)?;
    fs::write(directory.join("CompressedServerKey"), &data)?;
    Ok(())
}

/// Adds and multiplies two numbers of a fresh compact list.
fn arithmetic(public_key: &CompactPublicKey, client_key: &ClientKey) -> Outcome<String> {
    let (a, b) = (23u8, 11u8);
    let list = CompactCiphertextList::builder(public_key).push(a).push(b).push(true).build();
    let expanded = list.expand()?;
    let first: FheUint8 = expanded.get(0)?.ok_or("no first")?;
    let second: FheUint8 = expanded.get(1)?.ok_or("no second")?;
    let flag: FheBool = expanded.get(2)?.ok_or("no flag")?;
    let sum: u8 = (&first + &second).decrypt(client_key);
    let product: u8 = (&first * &second).decrypt(client_key);
    let chosen: u8 = flag.if_then_else(&first, &second).decrypt(client_key);
    Ok(format!(r#"{{"sum":{sum},"product":{product},"chosen":{chosen}}}"#))
}

/// Squashes noise and stores the result compressed.
fn squashing(client_key: &ClientKey) -> Outcome<String> {
    let value = FheUint8::encrypt(201u8, client_key);
    let flag = FheBool::encrypt(true, client_key);
    let squashed = (&value & &value).squash_noise()?;
    let direct: u8 = squashed.decrypt(client_key);
    let flag: bool = flag.squash_noise()?.decrypt(client_key);
    let mut builder = CompressedSquashedNoiseCiphertextListBuilder::new();
    builder.push(squashed);
    let list = builder.build()?;
    let stored: SquashedNoiseFheUint = list.get(0)?.ok_or("nothing stored")?;
    let stored: u8 = stored.decrypt(client_key);
    Ok(format!(r#"{{"direct":{direct},"flag":{flag},"stored":{stored}}}"#))
}

fn compression(client_key: &ClientKey) -> Outcome<String> {
    let mut builder = CompressedCiphertextListBuilder::new();
    builder.push(FheUint16::encrypt(51_966u16, client_key));
    builder.push(FheBool::encrypt(true, client_key));
    let list = builder.build()?;
    let number: FheUint16 = list.get(0)?.ok_or("no number")?;
    let flag: FheBool = list.get(1)?.ok_or("no flag")?;
    let number: u16 = (number + 1u16).decrypt(client_key);
    let flag: bool = (!flag).decrypt(client_key);
    Ok(format!(r#"{{"number":{number},"flag":{flag}}}"#))
}

fn random(client_key: &ClientKey) -> String {
    let values: Vec<String> = (0..4u128)
        .map(|seed| {
            let value = FheUint8::generate_oblivious_pseudo_random(Seed(seed));
            let value: u8 = value.decrypt(client_key);
            value.to_string()
        })
        .collect();
    format!("[{}]", values.join(","))
}

fn rerandomization(public_key: &CompactPublicKey, client_key: &ClientKey) -> Outcome<String> {
    let mut value = FheUint8::encrypt(77u8, client_key);
    value.re_randomization_metadata_mut().set_data(&[7; 32]);
    let mut before = Vec::new();
    safe_serialize(&value, &mut before, LIMIT)?;
    let nonce = [9u8; 32];
    let description = [b"judge".as_slice(), nonce.as_slice()];
    let mut context = ReRandomizationContext::new(*b"TFHE_Rrd", description, *b"TFHE_Enc");
    context.add_ciphertext(&value);
    let mode = ReRandomizationMode::UseLegacyCPKIfNeeded { cpk: public_key };
    value.re_randomize(mode, context.finalize().next_seed()?)?;
    let mut after = Vec::new();
    safe_serialize(&value, &mut after, LIMIT)?;
    let changed = before != after;
    let result: u8 = (value + 1u8).decrypt(client_key);
    Ok(format!(r#"{{"changed":{changed},"value":{result}}}"#))
}

/// Decrypts the numbers of somebody else's compact list.
fn decrypt_list(file: &str, client_key: &ClientKey) -> Outcome<String> {
    let list: CompactCiphertextList = safe_deserialize(&fs::read(file)?[..], LIMIT)?;
    let expanded = list.expand()?;
    let mut values = Vec::new();
    for index in 0..list.len() {
        values.push(match list.get_kind_of(index).ok_or("no kind")? {
            FheTypes::Bool => {
                let value: FheBool = expanded.get(index)?.ok_or("no boolean")?;
                value.decrypt(client_key).to_string()
            }
            FheTypes::Uint8 => {
                let value: FheUint8 = expanded.get(index)?.ok_or("no number")?;
                let value: u8 = value.decrypt(client_key);
                value.to_string()
            }
            FheTypes::Uint16 => {
                let value: FheUint16 = expanded.get(index)?.ok_or("no number")?;
                let value: u16 = value.decrypt(client_key);
                value.to_string()
            }
            FheTypes::Uint32 => {
                let value: FheUint32 = expanded.get(index)?.ok_or("no number")?;
                let value: u32 = value.decrypt(client_key);
                value.to_string()
            }
            FheTypes::Uint64 => {
                let value: FheUint64 = expanded.get(index)?.ok_or("no number")?;
                let value: u64 = value.decrypt(client_key);
                value.to_string()
            }
            other => return Err(format!("unexpected type {other:?}").into()),
        });
    }
    Ok(format!("[{}]", values.join(",")))
}

fn check(set: &str, directory: &Path, list: Option<&str>) -> Outcome<()> {
    let keys = load(set, directory)?;
    let client_key: ClientKey = safe_deserialize(&fs::read(directory.join("ClientKey"))?[..], LIMIT)?;
    let tag = hex(keys.xof.tag().data());
    set_server_key(keys.server_key.decompress());
    let alone = arithmetic(&keys.public_key, &client_key)?;
    let (public_key, server_key) = keys.xof.decompress().into_raw_parts();
    set_server_key(server_key);
    let together = arithmetic(&public_key, &client_key)?;
    let squashing = squashing(&client_key)?;
    let compression = compression(&client_key)?;
    let random = random(&client_key);
    let rerandomization = rerandomization(&public_key, &client_key)?;
    let list = match list {
        Some(file) => decrypt_list(file, &client_key)?,
        None => "null".to_string(),
    };
    println!(
        r#"{{"tag":"{tag}","server_key":{alone},"xof":{together},"squashing":{squashing},"compression":{compression},"random":{random},"rerandomization":{rerandomization},"list":{list}}}"#
    );
    Ok(())
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["check", set, directory] => check(set, Path::new(directory), None),
        ["check", set, directory, list] => check(set, Path::new(directory), Some(list)),
        ["conform", set, directory] => load(set, Path::new(directory)).map(|_| println!("true")),
        ["generate", set, seed, tag, directory] => generate(set, seed, tag, Path::new(directory)),
        _ => Err("usage: judge check|conform|generate ...".into()),
    }
}
