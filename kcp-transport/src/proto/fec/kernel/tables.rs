//! Products that the vector instructions look up.

/// The product of two elements.
pub(super) const fn product(a: u8, b: u8) -> u8 {
    let (mut shifted, mut sum, mut bit) = (a, 0, 0);
    while bit < 8 {
        if b >> bit & 1 == 1 {
            sum ^= shifted;
        }
        shifted = (shifted << 1) ^ if shifted >> 7 == 1 { 0x1d } else { 0 };
        bit += 1;
    }
    sum
}

/// For every coefficient its products with 0 to 15, and with the multiples of 16: `c·x = low[x % 16] + high[x / 16]`.
pub(super) static NIBBLES: [[[u8; 16]; 2]; 256] = {
    let mut tables = [[[0; 16]; 2]; 256];
    let mut coefficient = 0;
    while coefficient < 256 {
        let mut nibble = 0;
        while nibble < 16 {
            tables[coefficient][0][nibble] = product(coefficient as u8, nibble as u8);
            tables[coefficient][1][nibble] = product(coefficient as u8, (nibble as u8) << 4);
            nibble += 1;
        }
        coefficient += 1;
    }
    tables
};
