//! Which layer each subscription gets out of the bandwidth that the path has.

/// Moving up needs this much headroom, so that a layer's bitrate may wander without flapping.
const HEADROOM_PERCENT: u64 = 115;

/// One video subscription that wants a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Higher goes first.
    pub priority: i32,
    /// Measured bits per second of the live layers that are allowed, lowest layer first.
    pub layers: Vec<u64>,
    /// Index into `layers` of what is forwarded now.
    pub current: Option<usize>,
}

/// Chooses an index into each demand's `layers`; `None` pauses a subscription.
///
/// Everybody gets the lowest layer first, in order of priority, then is raised as far as the budget
/// allows. The demand with the highest priority is never paused: something is better than nothing.
pub fn allocate(budget_bps: u64, demands: &[Demand]) -> Vec<Option<usize>> {
    let mut order: Vec<usize> =
        (0..demands.len()).filter(|&i| !demands[i].layers.is_empty()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(demands[i].priority));
    let mut chosen: Vec<Option<usize>> = vec![None; demands.len()];
    let mut left = budget_bps;
    for (rank, &i) in order.iter().enumerate() {
        let lowest = demands[i].layers[0];
        if lowest <= left || rank == 0 {
            chosen[i] = Some(0);
            left = left.saturating_sub(lowest);
        }
    }
    for &i in &order {
        left = raise(&demands[i], &mut chosen[i], left);
    }
    chosen
}

fn raise(demand: &Demand, chosen: &mut Option<usize>, mut left: u64) -> u64 {
    let Some(mut at) = *chosen else { return left };
    for next in at + 1..demand.layers.len() {
        let extra = demand.layers[next].saturating_sub(demand.layers[at]);
        let is_raise = demand.current.is_none_or(|current| next > current);
        let needed = if is_raise { extra * HEADROOM_PERCENT / 100 } else { extra };
        if needed > left {
            break;
        }
        left -= extra.min(left);
        at = next;
    }
    *chosen = Some(at);
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(priority: i32, layers: &[u64], current: Option<usize>) -> Demand {
        Demand { priority, layers: layers.to_vec(), current }
    }

    #[test]
    fn the_highest_layer_that_fits_is_chosen() {
        let one = [demand(0, &[150, 500, 2_000], None)];
        assert_eq!(allocate(5_000, &one), [Some(2)]);
        assert_eq!(allocate(600, &one), [Some(1)]);
        assert_eq!(allocate(10, &one), [Some(0)], "the first is never paused");
    }

    #[test]
    fn everybody_gets_something_before_anybody_gets_more() {
        let two = [demand(0, &[150, 500], None), demand(5, &[150, 2_000], None)];
        assert_eq!(allocate(800, &two), [Some(1), Some(0)]);
        assert_eq!(allocate(2_500, &two), [Some(0), Some(1)], "priority is raised first");
        assert_eq!(allocate(200, &two), [None, Some(0)]);
    }

    #[test]
    fn staying_needs_no_headroom_but_moving_up_does() {
        assert_eq!(allocate(1_000, &[demand(0, &[100, 1_000], Some(1))]), [Some(1)]);
        assert_eq!(allocate(1_000, &[demand(0, &[100, 1_000], Some(0))]), [Some(0)]);
        assert_eq!(allocate(1_135, &[demand(0, &[100, 1_000], Some(0))]), [Some(1)]);
    }

    #[test]
    fn a_track_without_live_layers_gets_nothing() {
        assert_eq!(
            allocate(1_000, &[demand(9, &[], None), demand(0, &[10], None)]),
            [None, Some(0)]
        );
    }
}
