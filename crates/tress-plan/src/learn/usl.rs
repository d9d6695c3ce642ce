//! The universal scalability law, fitted to samples.
//!
//! The fit is nonlinear least squares on the logarithms (noise is a share of the throughput), by
//! Levenberg's and Marquardt's method (1944, 1963), over ln λ, ln σ and ln κ, which keeps all three
//! positive. Few samples do not determine three parameters; so each of σ and κ has a weak prior,
//! a normal distribution of its logarithm, which is one more residual and fades as samples come.
//! The covariance is that of the linearised problem at the solution.

use serde::{Deserialize, Serialize};

use super::RunSample;
use crate::random::Random;

/// The logarithms of σ and κ before anything is known: mean and standard deviation.
const PRIOR: [(f64, f64); 2] = [(-3.2, 0.8), (-4.6, 1.3)];
/// How far a sample is off beside the chance of its own todos, as a share.
const NOISE: f64 = 0.02;
/// The coefficient of variation of how long a todo takes.
const VARIATION: f64 = 0.5;
const STEPS: usize = 200;

type Vector = [f64; 3];
type Matrix = [[f64; 3]; 3];

/// A fitted law. Rates are todos an hour.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usl {
    /// λ: what one agent does alone.
    pub lambda: f64,
    /// σ: the share of the work that is done one after the other.
    pub sigma: f64,
    /// κ: what keeping two agents in step costs.
    pub kappa: f64,
    /// The covariance of ln λ, ln σ and ln κ.
    pub covariance: Matrix,
}

impl Usl {
    /// The throughput of `agents`, by the law.
    pub fn throughput(&self, agents: u32) -> f64 {
        value(&[self.lambda.ln(), self.sigma.ln(), self.kappa.ln()], agents).exp()
    }

    fn logs(&self) -> Vector {
        [self.lambda.ln(), self.sigma.ln(), self.kappa.ln()]
    }

    /// The size, up to `max`, whose throughput is greatest.
    pub fn best(&self, max: u32) -> u32 {
        best(&self.logs(), max)
    }

    /// The standard errors of ln λ, ln σ and ln κ, which are relative errors as long as they are
    /// small.
    pub fn errors(&self) -> Vector {
        let [[a, ..], [_, b, _], [.., c]] = self.covariance;
        [a, b, c].map(|variance| variance.max(0.0).sqrt())
    }

    /// `count` laws that the data allow as well, drawn by their probability.
    fn draws(&self, count: usize, seed: u64) -> Vec<Vector> {
        let mut random = Random::new(seed);
        let root = cholesky(&self.covariance);
        let centre = self.logs();
        let draw = |_| {
            let free: Vector = std::array::from_fn(|_| random.normal());
            let moved: Vec<f64> = root.iter().map(|row| dot(row, &free)).collect();
            std::array::from_fn(|i| at(&centre, i) + moved.get(i).copied().unwrap_or(0.0))
        };
        (0..count).map(draw).collect()
    }

    /// Between which sizes the best lies with probability 0.8, up to `max`.
    pub fn interval(&self, max: u32, seed: u64) -> (u32, u32) {
        let mut sizes: Vec<u32> = self.draws(400, seed).iter().map(|d| best(d, max)).collect();
        sizes.sort_unstable();
        let size = |place: usize| sizes.get(place).copied().unwrap_or(1);
        (size(39), size(360))
    }

    /// The size at which one more run would say most about the best size: the one that leaves its
    /// logarithm the least variance, on average over what the data allow (a Bayesian c-optimal
    /// design: Chaloner, Verdinelli: *Bayesian Experimental Design: A Review*, 1995).
    pub fn most_telling(&self, max: u32, seed: u64) -> u32 {
        let draws = self.draws(48, seed);
        let left = |size: u32| -> f64 {
            let lefts = draws.iter().map(|law| {
                let row = slope(law, size);
                let spread = times(&self.covariance, &row);
                let noise = NOISE * NOISE + VARIATION * VARIATION / 100.0;
                let whole = noise + dot(&row, &spread);
                let goal = goal(law);
                let before = dot(&goal, &times(&self.covariance, &goal));
                let learned = dot(&goal, &spread).powi(2) / whole;
                before - learned
            });
            lefts.sum()
        };
        let sizes = (1..=max.max(1)).map(|size| (left(size), size));
        let least = sizes.min_by(|(a, left), (b, right)| a.total_cmp(b).then(left.cmp(right)));
        least.map_or(1, |(_, size)| size)
    }
}

fn at(vector: &Vector, index: usize) -> f64 {
    vector.get(index).copied().unwrap_or(0.0)
}

fn dot(left: &Vector, right: &Vector) -> f64 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

fn times(matrix: &Matrix, vector: &Vector) -> Vector {
    matrix.map(|row| dot(&row, vector))
}

/// ln X(n).
fn value([lambda, sigma, kappa]: &Vector, agents: u32) -> f64 {
    let n = f64::from(agents.max(1));
    let slowed = 1.0 + sigma.exp() * (n - 1.0) + kappa.exp() * n * (n - 1.0);
    lambda + n.ln() - slowed.ln()
}

/// How ln X(n) changes with each parameter.
fn slope([_, sigma, kappa]: &Vector, agents: u32) -> Vector {
    let n = f64::from(agents.max(1));
    let (queue, crosstalk) = (sigma.exp() * (n - 1.0), kappa.exp() * n * (n - 1.0));
    let slowed = 1.0 + queue + crosstalk;
    [1.0, -queue / slowed, -crosstalk / slowed]
}

/// How the logarithm of the best size, ½ (ln(1 − σ) − ln κ), changes with each parameter.
fn goal([_, sigma, _]: &Vector) -> Vector {
    let sigma = sigma.exp().min(0.95);
    [0.0, -0.5 * sigma / (1.0 - sigma), -0.5]
}

fn best(law: &Vector, max: u32) -> u32 {
    let sizes = (1..=max.max(1)).map(|size| (value(law, size), size));
    let most = sizes.max_by(|(a, left), (b, right)| a.total_cmp(b).then(right.cmp(left)));
    most.map_or(1, |(_, size)| size)
}

/// Half of the sum of squares, its gradient, and the normal matrix, at `law`.
fn normal(samples: &[RunSample], law: &Vector) -> (f64, Vector, Matrix) {
    let (mut cost, mut gradient, mut matrix) = (0.0, [0.0; 3], [[0.0; 3]; 3]);
    let mut add = |residual: f64, row: Vector| {
        cost += residual * residual / 2.0;
        for (i, left) in row.iter().enumerate() {
            if let Some(entry) = gradient.get_mut(i) {
                *entry += left * residual;
            }
            for (j, right) in row.iter().enumerate() {
                if let Some(entry) = matrix.get_mut(i).and_then(|row: &mut Vector| row.get_mut(j)) {
                    *entry += left * right;
                }
            }
        }
    };
    for sample in samples {
        let chance = VARIATION * VARIATION / sample.completed.max(1) as f64;
        let noise = (NOISE * NOISE + chance).sqrt();
        let residual = value(law, sample.agents) - sample.throughput.ln();
        add(residual / noise, slope(law, sample.agents).map(|entry| entry / noise));
    }
    for (index, (mean, deviation)) in PRIOR.into_iter().enumerate() {
        let mut row = [0.0; 3];
        if let Some(entry) = row.get_mut(index + 1) {
            *entry = 1.0 / deviation;
        }
        add((at(law, index + 1) - mean) / deviation, row);
    }
    (cost, gradient, matrix)
}

/// Fits the law to samples; `None` where none of them can be used.
pub fn fit(samples: &[RunSample]) -> Option<Usl> {
    let usable: Vec<RunSample> = samples.iter().filter(|s| s.usable()).copied().collect();
    let first = usable.first()?;
    let mut law = [0.0, PRIOR[0].0, PRIOR[1].0];
    law = [first.throughput.ln() - value(&law, first.agents), law[1], law[2]];
    let (mut cost, mut gradient, mut matrix) = normal(&usable, &law);
    let mut damping = 1e-3;
    for _ in 0..STEPS {
        let mut damped = matrix;
        for (i, row) in damped.iter_mut().enumerate() {
            if let Some(entry) = row.get_mut(i) {
                *entry *= 1.0 + damping;
            }
        }
        let step = times(&inverse(&damped)?, &gradient);
        let moved: Vector = std::array::from_fn(|i| at(&law, i) - at(&step, i).clamp(-2.0, 2.0));
        let next = normal(&usable, &moved);
        if next.0.is_finite() && next.0 <= cost {
            let gain = cost - next.0;
            (cost, gradient, matrix) = next;
            law = moved;
            damping = (damping / 10.0).max(1e-9);
            if gain < 1e-12 {
                break;
            }
        } else {
            damping *= 10.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    let covariance = inverse(&matrix)?;
    let [lambda, sigma, kappa] = law.map(f64::exp);
    Some(Usl { lambda, sigma, kappa, covariance })
}

/// The inverse of a symmetric positive definite matrix; `None` for any other.
fn inverse(matrix: &Matrix) -> Option<Matrix> {
    let [[a, b, c], [_, d, e], [.., f]] = *matrix;
    let (x, y, z) = (d * f - e * e, c * e - b * f, b * e - c * d);
    let determinant = a * x + b * y + c * z;
    if !(determinant.is_finite() && determinant > 0.0) {
        return None;
    }
    let (p, q, r) = (a * f - c * c, b * c - a * e, a * d - b * b);
    let inverse = [[x, y, z], [y, p, q], [z, q, r]];
    Some(inverse.map(|row| row.map(|entry| entry / determinant)))
}

/// The lower triangle whose product with its transpose is `matrix`.
fn cholesky(matrix: &Matrix) -> Matrix {
    let [[a, ..], [b, d, _], [c, e, f]] = *matrix;
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let l11 = a.max(0.0).sqrt();
    let (l21, l31) = (share(b, l11), share(c, l11));
    let l22 = (d - l21 * l21).max(0.0).sqrt();
    let l32 = share(e - l31 * l21, l22);
    let l33 = (f - l31 * l31 - l32 * l32).max(0.0).sqrt();
    [[l11, 0.0, 0.0], [l21, l22, 0.0], [l31, l32, l33]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(truth: &Usl, agents: u32) -> RunSample {
        RunSample { agents, throughput: truth.throughput(agents), completed: 10_000, ..empty() }
    }

    fn empty() -> RunSample {
        RunSample {
            agents: 1,
            throughput: 1.0,
            completed: 1,
            overhead_minutes: 0.0,
            work_minutes: 0.0,
            failure_rate: 0.0,
            checkpoint_minutes: 0.0,
            interruptions: 0,
        }
    }

    #[test]
    fn exact_samples_give_the_law_they_were_made_by() {
        let truth = Usl { lambda: 3.0, sigma: 0.04, kappa: 0.008, covariance: [[0.0; 3]; 3] };
        let samples: Vec<_> = (1..=20).map(|agents| sample(&truth, agents)).collect();
        let fitted = fit(&samples).unwrap();
        assert!((fitted.lambda / 3.0 - 1.0).abs() < 0.01, "{fitted:?}");
        assert!((fitted.sigma / 0.04 - 1.0).abs() < 0.1, "{fitted:?}");
        assert!((fitted.kappa / 0.008 - 1.0).abs() < 0.05, "{fitted:?}");
        assert_eq!(fitted.best(32), truth.best(32));
        let (low, high) = fitted.interval(32, 1);
        assert!(low <= truth.best(32) && truth.best(32) <= high && high - low <= 2);
    }

    #[test]
    fn more_samples_make_it_surer_and_none_give_nothing() {
        let truth = Usl { lambda: 3.0, sigma: 0.04, kappa: 0.008, covariance: [[0.0; 3]; 3] };
        assert!(fit(&[]).is_none());
        assert!(fit(&[RunSample { throughput: f64::NAN, ..empty() }]).is_none());
        let one = fit(&[sample(&truth, 8)]).unwrap();
        let many = fit(&[1, 8, 16, 24].map(|agents| sample(&truth, agents))).unwrap();
        assert!(one.errors()[2] > 2.0 * many.errors()[2], "{one:?} {many:?}");
    }

    #[test]
    fn the_root_of_a_matrix_gives_it_back() {
        let matrix = [[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        let root = cholesky(&matrix);
        for (i, row) in matrix.iter().enumerate() {
            for (j, entry) in row.iter().enumerate() {
                assert!((dot(&root[i], &root[j]) - entry).abs() < 1e-9);
            }
        }
        let back = inverse(&inverse(&matrix).unwrap()).unwrap();
        assert!((back[1][2] - 1.0).abs() < 1e-9);
    }
}
