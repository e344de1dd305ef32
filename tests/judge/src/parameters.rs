//! The parameter sets of Ringforge as tfhe-rs configurations.

use tfhe::core_crypto::prelude::{
    CiphertextModulus as CoreCiphertextModulus, CiphertextModulusLog, DecompositionBaseLog,
    DecompositionLevelCount, DynamicDistribution, GlweDimension, LweCiphertextCount, LweDimension,
    NoiseEstimationMeasureBound, PolynomialSize, RSigmaFactor, Variance,
};
use tfhe::shortint::parameters::v1_5::meta::cpu::V1_5_META_PARAM_CPU_2_2_KS_PBS_PKE_TO_SMALL_ZKV2_TUNIFORM_2M128 as MAINNET_2025;
use tfhe::shortint::parameters::v1_7::meta::cpu::V1_7_META_PARAM_CPU_2_2_KS_PBS_PKE_TO_SMALL_ZKV2_TUNIFORM_2M128 as MAINNET;
use tfhe::shortint::parameters::list_compression::ClassicCompressionParameters;
use tfhe::shortint::parameters::meta::DedicatedCompactPublicKeyParameters;
use tfhe::shortint::parameters::*;
use tfhe::{Config, ConfigBuilder};

fn drift(zeros: usize, bound: f64, r_sigma: f64, variance: f64) -> ModulusSwitchType {
    ModulusSwitchType::DriftTechniqueNoiseReduction(ModulusSwitchNoiseReductionParams {
        modulus_switch_zeros_count: LweCiphertextCount(zeros),
        ms_bound: NoiseEstimationMeasureBound(bound),
        ms_r_sigma_factor: RSigmaFactor(r_sigma),
        ms_input_variance: Variance(variance),
    })
}

fn test() -> MetaParameters {
    let exact = DynamicDistribution::new_t_uniform(0);
    let (message_modulus, carry_modulus) = (MessageModulus(4), CarryModulus(4));
    let compute = ClassicPBSParameters {
        lwe_dimension: LweDimension(1),
        glwe_dimension: GlweDimension(1),
        polynomial_size: PolynomialSize(256),
        lwe_noise_distribution: exact,
        glwe_noise_distribution: exact,
        pbs_base_log: DecompositionBaseLog(24),
        pbs_level: DecompositionLevelCount(1),
        ks_base_log: DecompositionBaseLog(37),
        ks_level: DecompositionLevelCount(1),
        message_modulus,
        carry_modulus,
        max_noise_level: MaxNoiseLevel::new(5),
        log2_p_fail: -64.0,
        ciphertext_modulus: CiphertextModulus::new_native(),
        encryption_key_choice: EncryptionKeyChoice::Big,
        modulus_switch_noise_reduction_params: drift(
            10,
            288230376151711744.0,
            9.75539320076416,
            1.92631390716519e-10,
        ),
    };
    let compact = DedicatedCompactPublicKeyParameters {
        pke_params: CompactPublicKeyEncryptionParameters {
            encryption_lwe_dimension: LweDimension(512),
            encryption_noise_distribution: exact,
            message_modulus,
            carry_modulus,
            ciphertext_modulus: CiphertextModulus::new_native(),
            expansion_kind: CompactCiphertextListExpansionKind::RequiresCasting,
            zk_scheme: SupportedCompactPkeZkScheme::V2,
        },
        ksk_params: ShortintKeySwitchingParameters {
            ks_level: DecompositionLevelCount(1),
            ks_base_log: DecompositionBaseLog(37),
            destination_key: EncryptionKeyChoice::Small,
        },
        re_randomization_parameters: None,
    };
    let compression = CompressionParameters::Classic(ClassicCompressionParameters {
        br_level: DecompositionLevelCount(1),
        br_base_log: DecompositionBaseLog(24),
        packing_ks_level: DecompositionLevelCount(1),
        packing_ks_base_log: DecompositionBaseLog(27),
        packing_ks_polynomial_size: PolynomialSize(256),
        packing_ks_glwe_dimension: GlweDimension(1),
        lwe_per_glwe: LweCiphertextCount(256),
        storage_log_modulus: CiphertextModulusLog(9),
        packing_ks_key_noise_distribution: exact,
    });
    let squashing = NoiseSquashingParameters::Classic(NoiseSquashingClassicParameters {
        glwe_dimension: GlweDimension(1),
        polynomial_size: PolynomialSize(256),
        glwe_noise_distribution: DynamicDistribution::new_t_uniform(0),
        decomp_base_log: DecompositionBaseLog(33),
        decomp_level_count: DecompositionLevelCount(2),
        modulus_switch_noise_reduction_params: drift(
            8,
            288230376151711744.0,
            9.2,
            2.182718682903484e-224,
        ),
        message_modulus,
        carry_modulus,
        ciphertext_modulus: CoreCiphertextModulus::<u128>::new_native(),
    });
    let squashing_compression = NoiseSquashingCompressionParameters {
        packing_ks_level: DecompositionLevelCount(1),
        packing_ks_base_log: DecompositionBaseLog(61),
        packing_ks_polynomial_size: PolynomialSize(256),
        packing_ks_glwe_dimension: GlweDimension(1),
        lwe_per_glwe: LweCiphertextCount(128),
        packing_ks_key_noise_distribution: DynamicDistribution::new_t_uniform(3),
        ciphertext_modulus: CoreCiphertextModulus::<u128>::new_native(),
        message_modulus,
        carry_modulus,
    };
    MetaParameters {
        backend: Backend::Cpu,
        compute_parameters: AtomicPatternParameters::Standard(PBSParameters::PBS(compute)),
        dedicated_compact_public_key_parameters: Some(compact),
        compression_parameters: Some(compression),
        noise_squashing_parameters: Some(MetaNoiseSquashingParameters {
            parameters: squashing,
            compression_parameters: Some(squashing_compression),
        }),
        rerand_configuration: Some(
            ReRandomizationConfiguration::DerivedCompactPublicKeyWithoutKeySwitch,
        ),
    }
}

/// Configuration and compact public key parameters of a parameter set.
pub fn lookup(name: &str) -> Option<(Config, CompactPublicKeyEncryptionParameters)> {
    let (meta, oprf) = match name {
        "test" => (test(), true),
        "mainnet" => (MAINNET, true),
        "mainnet-2025" => (MAINNET_2025, false),
        _ => return None,
    };
    let compact = meta.dedicated_compact_public_key_parameters?;
    let squashing = meta.noise_squashing_parameters?;
    let config = ConfigBuilder::with_custom_parameters(meta.compute_parameters)
        .use_dedicated_compact_public_key_parameters((compact.pke_params, compact.ksk_params))
        .enable_compression(meta.compression_parameters?)
        .enable_noise_squashing(squashing.parameters)
        .enable_noise_squashing_compression(squashing.compression_parameters?)
        .enable_ciphertext_re_randomization(meta.rerandomization_parameters()?)
        .use_dedicated_oprf_key(oprf)
        .build();
    Some((config, compact.pke_params))
}
