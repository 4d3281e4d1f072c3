//! The largest set of pairs in which everything occurs once: maximum matching in a bipartite graph.
//!
//! Hopcroft, Karp: "An n^5/2 algorithm for maximum matchings in bipartite graphs", SIAM Journal on Computing 1973. Breadth
//! first from all free vertices of the left, in layers, until free ones of the right are met; then depth first back from
//! each of these, along paths that share no vertex, each of which adds one pair. At most about sqrt(vertices) such rounds.
//!
//! There are mostly several largest matchings. Which one comes out is fixed by the order of the edges, by these rules: a
//! greedy matching comes first, left vertices in the order in which edges name them, each taking its first free partner;
//! layers keep the order in which vertices are met. `mir_eval` starts and searches in the same order, so that the average
//! overlap ratio, which depends on the pairs and not only on their number, is the same.

/// A largest matching of edges `(left, right)`, sorted by left.
///
/// Vertices are numbers below `num_left` and `num_right`; edges that name others are left out. The result depends on the
/// order of the edges only.
pub fn maximum_matching(num_left: usize, num_right: usize, edges: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let graph = Graph::new(num_left, num_right, edges);
    let mut partner_of_right: Vec<Option<usize>> = vec![None; num_right];
    for &left in &graph.order {
        if let Some(&right) = graph.neighbours[left].iter().find(|&&right| partner_of_right[right].is_none()) {
            partner_of_right[right] = Some(left);
        }
    }
    while augment(&graph, &mut partner_of_right) {}
    let pairs = partner_of_right.iter().enumerate().filter_map(|(right, left)| Some(((*left)?, right)));
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    pairs
}

struct Graph {
    /// Left vertices that have edges, in the order in which edges name them.
    order: Vec<usize>,
    /// The right vertices of each left one, in the order of the edges.
    neighbours: Vec<Vec<usize>>,
}

impl Graph {
    fn new(num_left: usize, num_right: usize, edges: &[(usize, usize)]) -> Self {
        let mut graph = Self { order: Vec::new(), neighbours: vec![Vec::new(); num_left] };
        for &(left, right) in edges.iter().filter(|&&(left, right)| left < num_left && right < num_right) {
            if graph.neighbours[left].is_empty() {
                graph.order.push(left);
            }
            graph.neighbours[left].push(right);
        }
        graph
    }
}

/// How a left vertex was met in the layers.
#[derive(Clone, Copy, PartialEq)]
enum Met {
    /// Not, or a path has used it since.
    No,
    /// It is free, and a path may end here.
    Free,
    /// Through this right vertex, whose partner it is.
    Through(usize),
}

/// One round: layers, then paths. Whether the matching has grown.
fn augment(graph: &Graph, partner_of_right: &mut [Option<usize>]) -> bool {
    let mut met = vec![Met::No; graph.neighbours.len()];
    for &left in &graph.order {
        met[left] = Met::Free;
    }
    for left in partner_of_right.iter().flatten() {
        met[*left] = Met::No;
    }
    let mut layer: Vec<usize> = graph.order.iter().copied().filter(|&left| met[left] == Met::Free).collect();
    // The left vertices of the layer before from which each right vertex is reached.
    let mut reached_from: Vec<Vec<usize>> = vec![Vec::new(); partner_of_right.len()];
    let mut is_reached = vec![false; partner_of_right.len()];
    let mut free = Vec::new();
    while !layer.is_empty() && free.is_empty() {
        let mut next = Vec::new();
        for &left in &layer {
            for &right in graph.neighbours[left].iter().filter(|&&right| !is_reached[right]) {
                if reached_from[right].is_empty() {
                    next.push(right);
                }
                reached_from[right].push(left);
            }
        }
        layer.clear();
        for right in next {
            is_reached[right] = true;
            match partner_of_right[right] {
                Some(left) => {
                    met[left] = Met::Through(right);
                    layer.push(left);
                }
                None => free.push(right),
            }
        }
    }
    let mut has_grown = false;
    for right in free {
        has_grown |= follow(right, &mut met, &mut is_reached, &reached_from, partner_of_right);
    }
    has_grown
}

/// Looks for a path from a free right vertex back to a free left one, and takes its pairs. Vertices that were looked at
/// are used up.
fn follow(
    start: usize,
    met: &mut [Met],
    is_reached: &mut [bool],
    reached_from: &[Vec<usize>],
    partner_of_right: &mut [Option<usize>],
) -> bool {
    // Right vertices of the path, each with how many of its left ones have been tried. On the heap: a path can be as long
    // as the piece.
    let mut path = vec![(start, 0)];
    is_reached[start] = false;
    while let Some((right, tried)) = path.last_mut() {
        let Some(&left) = reached_from[*right].get(*tried) else {
            path.pop();
            continue;
        };
        *tried += 1;
        match std::mem::replace(&mut met[left], Met::No) {
            Met::No => {}
            Met::Free => {
                for (right, tried) in path {
                    partner_of_right[right] = Some(reached_from[right][tried - 1]);
                }
                return true;
            }
            Met::Through(before) => {
                if std::mem::replace(&mut is_reached[before], false) {
                    path.push((before, 0));
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The number of pairs by trying everything.
    fn largest(edges: &[(usize, usize)], used_left: u32, used_right: u32) -> usize {
        let Some((&(left, right), rest)) = edges.split_first() else {
            return 0;
        };
        let without = largest(rest, used_left, used_right);
        if used_left >> left & 1 == 1 || used_right >> right & 1 == 1 {
            return without;
        }
        without.max(1 + largest(rest, used_left | 1 << left, used_right | 1 << right))
    }

    #[test]
    fn a_greedy_choice_is_taken_back() {
        // Left 0 takes right 0 first, which is all that left 1 could have.
        assert_eq!(maximum_matching(2, 2, &[(0, 0), (0, 1), (1, 0)]), [(0, 1), (1, 0)]);
    }

    #[test]
    fn no_edge_no_pair() {
        assert!(maximum_matching(3, 3, &[]).is_empty());
        assert!(maximum_matching(0, 0, &[(0, 0)]).is_empty());
    }

    #[test]
    fn random_graphs_against_all_subsets() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..300 {
            let mut edges = Vec::new();
            for left in 0..5 {
                for right in 0..5 {
                    if rng.random_bool(0.4) {
                        edges.push((left, right));
                    }
                }
            }
            let pairs = maximum_matching(5, 5, &edges);
            assert!(pairs.iter().all(|pair| edges.contains(pair)));
            let used: (u32, u32) = pairs.iter().fold((0, 0), |used, &(l, r)| (used.0 | 1 << l, used.1 | 1 << r));
            assert_eq!((used.0.count_ones() as usize, used.1.count_ones() as usize), (pairs.len(), pairs.len()));
            assert_eq!(pairs.len(), largest(&edges, 0, 0), "{edges:?}");
        }
    }

    #[test]
    fn a_path_as_long_as_a_piece_needs_no_deep_stack() {
        const LENGTH: usize = 200_000;
        // Left i knows right i and i + 1; the greedy choice takes i + 1 each time, and the last left finds nothing.
        let mut edges: Vec<(usize, usize)> = (0..LENGTH).flat_map(|left| [(left, left + 1), (left, left)]).collect();
        edges.push((LENGTH, LENGTH));
        assert_eq!(maximum_matching(LENGTH + 1, LENGTH + 1, &edges).len(), LENGTH + 1);
    }
}
