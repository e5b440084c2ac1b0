//! The colour table of the heatmap, one text for the terminal and the page.
//!
//! Responsible for: 256 colours, `rrggbb` each. Entry 0 is "no traffic" and is darker than the
//! least traffic; entries 1 to 255 are viridis (Matt Zucker's polynomial fit), dark to bright.
//! Invariants: 256 entries; the bytes are those that the page's `tableOf('viridis')` computes.
//! Must not: know values or scales (`colour`).
//! Proof: `viridis_test.rs` computes the polynomial again and compares every entry.

/// An sRGB colour.
pub(super) type Rgb = [u8; 3];

/// The table as text: six hexadecimal digits a colour.
const HEX: &str = "\
    24012b47035747045847065947075b47085c470a5d470b5f480d60480e61480f63481164481265481467481568481669\
    48186a48196c481a6d481c6e481d6f481f70482071482172482374482475482576482777472878472979472a79472c7a\
    472d7b472e7c47307d46317e46327f46337f463580463681453781453882453a83453b83443c84443d85443e85443f86\
    434186434287434387424488424588414688414889414989404a8a404b8a3f4c8a3f4d8b3f4e8b3e4f8b3e508b3d518c\
    3d528c3c548c3c558c3b568c3b578d3a588d3a598d395a8d395b8d385c8d385d8d375e8e365f8e36608e35618e35628e\
    34638e34648e33658e32668e32678e31688e31698e306a8e306b8e2f6c8e2e6d8e2e6e8e2d6f8e2d708e2c718e2c728e\
    2b738e2b748e2a748e29758e29768e28778e28788e27798e277a8e267b8e267c8d257d8d257e8d257f8d24808d24818d\
    23828d23838d22848d22858d22868d21868d21878c21888c21898c208a8c208b8c208c8c208d8c1f8e8c1f8f8b1f908b\
    1f918b1f928b1f938b1f948b1f948a1f958a1f968a1f978a1f98891f99891f9a891f9b89209c88209d88209e88209f88\
    21a08721a18721a28722a28622a38623a48523a58524a68525a78425a88426a98327aa8327ab8228ac8229ac812aad80\
    2bae802baf7f2cb07f2db17e2eb27d30b37d31b47c32b47b33b57a34b67a35b77937b87838b9773aba763bba753cbb74\
    3ebc733fbd7241be7143bf7044bf6f46c06e48c16d4ac26c4bc36b4dc3694fc46851c56753c66655c66457c76359c862\
    5bc9605ec95f60ca5e62cb5c64cc5b67cc5969cd586bce566ece5570cf5373d05275d05078d14e7ad24d7dd24b7fd34a\
    82d34884d44687d5458ad5438dd6418fd64092d73e95d73d98d83b9ad9399dd938a0da36a3da34a6db33a8db31abdc30\
    aedc2eb1dc2db4dd2bb7dd2abade29bcde27bfdf26c2df25c5df24c8e023cae021cde120d0e120d2e11fd5e21ed8e21d\
    dae21ddde31ce0e31ce2e31be4e41be7e41be9e41bece51beee51bf0e51cf2e61cf4e61df6e61ef8e71ffae720fce721";

/// The table as numbers.
pub(super) static VIRIDIS: [Rgb; 256] = decode(HEX);

const fn decode(text: &str) -> [Rgb; 256] {
    let bytes = text.as_bytes();
    assert!(bytes.len() == 256 * 6);
    let mut table = [[0; 3]; 256];
    let mut at = 0;
    while at < 256 * 3 {
        table[at / 3][at % 3] = nibble(bytes[2 * at]) << 4 | nibble(bytes[2 * at + 1]);
        at += 1;
    }
    table
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'a' + 10,
    }
}

#[cfg(test)]
#[path = "viridis_test.rs"]
mod viridis_test;
