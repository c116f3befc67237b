//! Which of all combinations to try: few, but with every pair of choices in one of them.

use std::collections::HashSet;

use interop::stream::Stream;

/// Combinations drawn for every one that is taken. More make the design smaller, slowly.
const CANDIDATES: usize = 64;

/// One choice for every factor.
pub(crate) type Row = Vec<usize>;

/// Rows for factors of so many `levels` each: the first `product` factors in all combinations, the others so that
/// any two levels of any two factors meet in some row, wherever `allowed` permits.
///
/// Greedy: of some random rows, the one with most pairs that were not met before.
/// Source: Cohen, Dalal, Fredman and Patton, "The AETG System", 1997.
pub(crate) fn cover(
    levels: &[usize],
    product: usize,
    allowed: impl Fn(&[usize]) -> bool,
    seed: u64,
) -> Vec<Row> {
    let mut random = Stream::new(seed);
    let mut draw = |fixed: &[(usize, usize)]| -> Option<Row> {
        // A rule that forbids most rows would be a strange one.
        (0..CANDIDATES).find_map(|_| {
            let mut row: Row = levels
                .iter()
                .map(|&count| (random.next_word() % count as u64) as usize)
                .collect();
            for &(factor, level) in fixed {
                row[factor] = level;
            }
            allowed(&row).then_some(row)
        })
    };
    let mut unmet = all_pairs(levels);
    let mut rows = Vec::new();
    let mut take_best = |fixed: &[(usize, usize)], unmet: &mut HashSet<Pair>| -> bool {
        let best = (0..CANDIDATES)
            .filter_map(|_| draw(fixed))
            .max_by_key(|row| pairs(row).filter(|pair| unmet.contains(pair)).count());
        if let Some(row) = best {
            for pair in pairs(&row) {
                unmet.remove(&pair);
            }
            rows.push(row);
            true
        } else {
            false
        }
    };
    for fixed in combinations(&levels[..product]) {
        let fixed: Vec<_> = fixed.into_iter().enumerate().collect();
        take_best(&fixed, &mut unmet);
    }
    // The smallest first, because a set has no order to repeat a run by.
    while let Some(&pair) = unmet.iter().min() {
        if !take_best(&pair, &mut unmet) {
            unmet.remove(&pair);
        }
    }
    rows
}

/// Two factors with a level each.
type Pair = [(usize, usize); 2];

fn pairs(row: &[usize]) -> impl Iterator<Item = Pair> {
    (0..row.len()).flat_map(move |second| {
        (0..second).map(move |first| [(first, row[first]), (second, row[second])])
    })
}

fn all_pairs(levels: &[usize]) -> HashSet<Pair> {
    let mut all = HashSet::new();
    for second in 0..levels.len() {
        for first in 0..second {
            for levels in combinations(&[levels[first], levels[second]]) {
                all.insert([(first, levels[0]), (second, levels[1])]);
            }
        }
    }
    all
}

fn combinations(levels: &[usize]) -> Vec<Row> {
    levels.iter().fold(vec![Vec::new()], |rows, &count| {
        let longer = |row: Row| (0..count).map(move |level| [row.as_slice(), &[level]].concat());
        rows.into_iter().flat_map(longer).collect()
    })
}

#[test]
fn every_pair_of_levels_meets_unless_forbidden() {
    let levels = [2, 5, 3, 4, 2, 7];
    let allowed = |row: &[usize]| row[1] != 0 || row[5] != 3;
    let rows = cover(&levels, 2, allowed, 1);
    let met: HashSet<Pair> = rows.iter().flat_map(|row| pairs(row)).collect();
    let mut all = all_pairs(&levels);
    all.remove(&[(1, 0), (5, 3)]);
    assert_eq!(met, all);
    assert!(rows.len() < 2 * 5 * 7, "{} rows", rows.len());
    let firsts: HashSet<_> = rows.iter().map(|row| &row[..2]).collect();
    assert_eq!(firsts.len(), 2 * 5);
    assert_eq!(rows, cover(&levels, 2, allowed, 1));
}
