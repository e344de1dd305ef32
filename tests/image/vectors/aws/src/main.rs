//! Writes an image with the library of AWS and prints its registers: `eifvec OUT KERNEL CMDLINE
//! CERT|- KEY|- RAMDISK...`; `eifvec --read IMAGE` prints those of an image that somebody else wrote.
use aws_nitro_enclaves_image_format::defs::{EifBuildInfo, EifIdentityInfo};
use aws_nitro_enclaves_image_format::utils::eif_reader::EifReader;
use aws_nitro_enclaves_image_format::utils::{EifBuilder, SignKeyData};
use serde_json::json;
use sha2::{Digest, Sha384};
use std::fs::File;
use std::path::Path;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args[1] == "--read" {
        let mut reader = EifReader::from_eif(args[2].clone()).unwrap();
        let mut found = reader.get_measurements().unwrap();
        found.remove("HashAlgorithm");
        println!("{}", serde_json::to_string(&json!({
            "measurements": found, "crc": reader.check_crc()})).unwrap());
        return;
    }
    let key = if args[4] == "-" { None } else {
        Some(SignKeyData::new(&args[5], Path::new(&args[4])).unwrap())
    };
    let info = EifIdentityInfo {
        img_name: "vector".into(),
        img_version: "1".into(),
        build_info: EifBuildInfo {
            build_time: "1970-01-01T00:00:00Z".into(),
            build_tool: "aws-nitro-enclaves-image-format".into(),
            build_tool_version: "0.8.1".into(),
            img_os: "none".into(),
            img_kernel: "none".into(),
        },
        docker_info: json!({}),
        custom_info: json!({}),
    };
    let mut builder = EifBuilder::new(
        Path::new(&args[2]), args[3].clone(), key, Sha384::new(), 0, info);
    for path in &args[6..] {
        builder.add_ramdisk(Path::new(path));
    }
    let mut out = File::create(&args[1]).unwrap();
    let mut found = builder.write_to(&mut out);
    found.remove("HashAlgorithm");
    println!("{}", serde_json::to_string(&found).unwrap());
}
