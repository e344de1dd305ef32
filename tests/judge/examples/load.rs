use std::fs::File;
use tfhe::prelude::*;
use tfhe::safe_serialization::{safe_deserialize, safe_serialize};
use tfhe::{set_server_key, CompactCiphertextList, CompactPublicKey, CompressedServerKey, FheUint8};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: load KEYSET")?;
    let open = |name: &str| File::open(format!("{folder}/{name}"));
    let public_key: CompactPublicKey = safe_deserialize(open("CompactPublicKey")?, 1 << 33)?;
    let server_key: CompressedServerKey = safe_deserialize(open("CompressedServerKey")?, 1 << 33)?;
    set_server_key(server_key.decompress());

    let list = CompactCiphertextList::builder(&public_key).push(25u8).push(17u8).build();
    let inputs = list.expand()?;
    let a: FheUint8 = inputs.get(0)?.ok_or("the list is empty")?;
    let b: FheUint8 = inputs.get(1)?.ok_or("the list has one value")?;
    let mut sum = Vec::new();
    safe_serialize(&(&a + &b), &mut sum, 1 << 33)?;
    println!("computed on encrypted values: {} bytes", sum.len());
    Ok(())
}
