//! The ten topics of the mathematical walk-through.

/// What an exercise is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Terms with letters, evaluated.
    AlgebraicExpressions,
    /// One unknown, to the first power.
    LinearEquations,
    /// Roots and discriminants.
    QuadraticEquations,
    /// Polynomials at a point.
    PolynomialFunctions,
    /// Quotients at a point.
    RationalExpressions,
    /// Powers with the variable on top.
    ExponentialFunctions,
    /// Logarithms, found and solved for.
    LogarithmicFunctions,
    /// Terms and sums of arithmetic sequences.
    SequencesAndSeries,
    /// Products and traces.
    Matrices,
    /// Two rows, two columns.
    Determinants,
}

impl Topic {
    /// All topics, in the order of the walk-through.
    pub const ALL: [Self; 10] = [
        Self::AlgebraicExpressions,
        Self::LinearEquations,
        Self::QuadraticEquations,
        Self::PolynomialFunctions,
        Self::RationalExpressions,
        Self::ExponentialFunctions,
        Self::LogarithmicFunctions,
        Self::SequencesAndSeries,
        Self::Matrices,
        Self::Determinants,
    ];

    /// The name, as a recipe's `input` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlgebraicExpressions => "Algebraic Expressions",
            Self::LinearEquations => "Linear Equations",
            Self::QuadraticEquations => "Quadratic Equations",
            Self::PolynomialFunctions => "Polynomial Functions",
            Self::RationalExpressions => "Rational Expressions",
            Self::ExponentialFunctions => "Exponential Functions",
            Self::LogarithmicFunctions => "Logarithmic Functions",
            Self::SequencesAndSeries => "Sequences and Series",
            Self::Matrices => "Matrices",
            Self::Determinants => "Determinants",
        }
    }

    /// The topic of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }
}
