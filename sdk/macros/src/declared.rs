//! What an author wrote: ports and functions, not judged yet.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, Ident, ImplItem, ItemImpl, Lit, MetaNameValue, Path, Result, ReturnType,
    Signature, Token, TraitItemFn, Type,
};

/// Arguments of `#[module(…)]`.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) rows: Option<usize>,
    pub(crate) tokens: Option<usize>,
    /// The state can be saved and restored.
    pub(crate) movable: bool,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        for meta in Punctuated::<syn::Meta, Token![,]>::parse_terminated(input)? {
            match &meta {
                syn::Meta::Path(path) if path.is_ident("movable") => arguments.movable = true,
                syn::Meta::NameValue(pair) if pair.path.is_ident("rows") => {
                    arguments.rows = Some(number(pair)?);
                }
                syn::Meta::NameValue(pair) if pair.path.is_ident("tokens") => {
                    arguments.tokens = Some(number(pair)?);
                }
                other => {
                    let advice = "unknown argument; there are `rows = N`, `tokens = N` and `movable`";
                    return Err(Error::new(other.span(), advice));
                }
            }
        }
        Ok(arguments)
    }
}

/// The number of `name = 3`.
fn number(pair: &MetaNameValue) -> Result<usize> {
    match &pair.value {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse(),
        other => Err(Error::new(other.span(), "expected a number")),
    }
}

/// What a function of the block is.
#[derive(Clone)]
pub(crate) enum Kind {
    Input,
    Output { emits: usize },
    Request,
    Handler,
    Entry { public: bool },
    Reply { request: Option<Ident> },
    Late { input: Option<Ident> },
}

/// One function with a port attribute.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) kind: Kind,
    pub(crate) signature: Signature,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) has_body: bool,
    /// Where the attribute stands.
    pub(crate) span: Span,
}

impl Port {
    pub(crate) fn name(&self) -> &Ident {
        &self.signature.ident
    }

    /// Parameters behind `self`.
    pub(crate) fn parameters(&self) -> Vec<&syn::PatType> {
        let typed = self.signature.inputs.iter().filter_map(|argument| match argument {
            FnArg::Typed(typed) => Some(typed),
            FnArg::Receiver(_) => None,
        });
        typed.collect()
    }

    /// Whether `io` is `&mut Io`.
    pub(crate) fn borrows(&self) -> bool {
        self.parameters().first().is_some_and(|typed| matches!(*typed.ty, Type::Reference(_)))
    }

    pub(crate) fn returns(&self) -> Option<&Type> {
        match &self.signature.output {
            ReturnType::Default => None,
            ReturnType::Type(_, returned) => Some(returned),
        }
    }
}

/// A module as declared.
pub(crate) struct Declared {
    pub(crate) arguments: Arguments,
    /// The block without declarations and port attributes.
    pub(crate) block: ItemImpl,
    pub(crate) ports: Vec<Port>,
}

impl Declared {
    /// Takes the port attributes out of a block.
    pub(crate) fn read(arguments: Arguments, mut block: ItemImpl) -> Result<Self> {
        if let Some((_, path, _)) = &block.trait_ {
            return Err(Error::new(path.span(), "a module is an `impl` block of its state, not of a trait"));
        }
        if !block.generics.params.is_empty() {
            return Err(Error::new(block.generics.span(), "a module cannot be generic: its image is one program"));
        }
        let mut ports = Vec::new();
        let mut kept = Vec::new();
        for item in block.items {
            match read_item(item)? {
                (Some(port), item) => {
                    ports.push(port);
                    kept.extend(item);
                }
                (None, item) => kept.extend(item),
            }
        }
        block.items = kept;
        Ok(Self { arguments, block, ports })
    }
}

/// The port that an item declares, and what stays of the item.
fn read_item(item: ImplItem) -> Result<(Option<Port>, Option<ImplItem>)> {
    match item {
        ImplItem::Fn(mut function) => {
            let Some((kind, span)) = take_kind(&mut function.attrs)? else {
                return Ok((None, Some(ImplItem::Fn(function))));
            };
            let port =
                Port { kind, signature: function.sig.clone(), docs: docs(&function.attrs), has_body: true, span };
            Ok((Some(port), Some(ImplItem::Fn(function))))
        }
        ImplItem::Verbatim(tokens) => {
            let mut function: TraitItemFn = syn::parse2(tokens.clone())?;
            let Some((kind, span)) = take_kind(&mut function.attrs)? else {
                let advice = "only `#[output]` and `#[request]` have no body";
                return Err(Error::new(function.sig.ident.span(), advice));
            };
            let docs = docs(&function.attrs);
            Ok((Some(Port { kind, signature: function.sig, docs, has_body: false, span }), None))
        }
        other => Ok((None, Some(other))),
    }
}

fn docs(attributes: &[Attribute]) -> Vec<Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("doc")).cloned().collect()
}

/// Takes the one port attribute away.
fn take_kind(attributes: &mut Vec<Attribute>) -> Result<Option<(Kind, Span)>> {
    let mut found = None;
    let mut kept = Vec::new();
    for attribute in attributes.drain(..) {
        match kind_of(&attribute)? {
            Some(_) if found.is_some() => {
                return Err(Error::new(attribute.path().span(), "a function is one kind of port only"));
            }
            Some(kind) => found = Some((kind, attribute.path().span())),
            None => kept.push(attribute),
        }
    }
    *attributes = kept;
    Ok(found)
}

fn kind_of(attribute: &Attribute) -> Result<Option<Kind>> {
    let Some(name) = attribute.path().get_ident() else { return Ok(None) };
    Ok(Some(match name.to_string().as_str() {
        "input" => bare(attribute, Kind::Input)?,
        "request" => bare(attribute, Kind::Request)?,
        "handler" => bare(attribute, Kind::Handler)?,
        "output" => Kind::Output { emits: emits(attribute)? },
        "entry" => Kind::Entry { public: named(attribute)?.is_some_and(|name| name == "public") },
        "reply" => Kind::Reply { request: named(attribute)? },
        "late" => Kind::Late { input: named(attribute)? },
        _ => return Ok(None),
    }))
}

fn bare(attribute: &Attribute, kind: Kind) -> Result<Kind> {
    attribute
        .meta
        .require_path_only()
        .map_err(|error| Error::new(error.span(), "this attribute takes no arguments"))?;
    Ok(kind)
}

fn emits(attribute: &Attribute) -> Result<usize> {
    if matches!(attribute.meta, syn::Meta::Path(_)) {
        return Ok(1);
    }
    let pair: MetaNameValue = attribute.parse_args()?;
    if !pair.path.is_ident("emits") {
        return Err(Error::new(pair.path.span(), "unknown argument; there is `emits = N`"));
    }
    match number(&pair)? {
        emits @ 1..=4096 => Ok(emits),
        _ => Err(Error::new(pair.value.span(), "one activation emits 1 to 4096 events on a port")),
    }
}

/// The name of `#[reply(name)]`; `None` when there is none.
fn named(attribute: &Attribute) -> Result<Option<Ident>> {
    if matches!(attribute.meta, syn::Meta::Path(_)) {
        return Ok(None);
    }
    let path: Path = attribute.parse_args()?;
    Ok(Some(path.require_ident()?.clone()))
}
