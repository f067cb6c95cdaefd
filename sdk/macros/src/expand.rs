//! Writing what was declared: the implementation of `Program`, and an `Io` with the module's own outputs and requests.

use crate::declared::{Declared, Kind, Port};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericArgument, Ident, PathArguments, Type};

/// Rows and tokens of a module that asks for none.
const ROWS: usize = 16;
const TOKENS: usize = 4;

/// Expands a module.
pub(crate) fn module(declared: &Declared) -> TokenStream {
    let state = &declared.block.self_ty;
    let block = &declared.block;
    let ports: Vec<&Port> = declared.ports.iter().filter(|port| in_table(port)).collect();
    let infos = ports.iter().map(|port| info(port, &declared.ports));
    let io = io(&ports);
    let start = quote_spanned!(state.span() => <#state as ::core::default::Default>::default());
    let movable = movable(declared);
    let rows = declared.arguments.rows.unwrap_or(ROWS);
    let tokens = declared.arguments.tokens.unwrap_or(TOKENS);
    let arms = ports.iter().enumerate().flat_map(|(index, port)| arms(index, port, &declared.ports));
    quote! {
        #[allow(dead_code)]
        #block
        #io

        impl ::veritee::Program for #state {
            const PORTS: &'static [::veritee::PortInfo] = &[#(#infos),*];
            fn start() -> Self {
                #start
            }
            #[allow(unused_mut, unused_variables, unreachable_code)]
            fn run(&mut self, port: ::veritee::PortIndex, call: ::veritee::Call<'_>, io: ::veritee::RawIo<'_>)
                -> ::core::result::Result<(), ::veritee::Malformed> {
                let mut io = Io(io);
                match (port.0, call) {
                    #(#arms)*
                    _ => return ::core::result::Result::Err(::veritee::Malformed),
                }
                ::core::result::Result::Ok(())
            }
            #movable
        }

        #[doc(hidden)]
        pub mod __veritee {
            pub type Program = super::#state;
            pub const ROWS: usize = #rows;
            pub const TOKENS: usize = #tokens;
        }
    }
}

const fn in_table(port: &Port) -> bool {
    !matches!(port.kind, Kind::Reply { .. } | Kind::Late { .. })
}

/// The arms of a port: what calls it, and what is done then.
fn arms(index: usize, port: &Port, all: &[Port]) -> Vec<TokenStream> {
    let index = u16::try_from(index).unwrap_or(u16::MAX);
    let late = late_of(port, all).map(|late| {
        let (name, io) = (late.name(), io_argument(late));
        quote! { (#index, ::veritee::Call::Late) => self.#name(#io), }
    });
    let arm = match port.kind {
        Kind::Input => {
            let run = input(port);
            Some(quote! { (#index, ::veritee::Call::Input(payload)) => { #run } })
        }
        Kind::Handler => {
            let run = handler(port);
            Some(quote! { (#index, ::veritee::Call::Request(payload, token)) => { #run } })
        }
        Kind::Entry { .. } => {
            let run = entry(port);
            Some(quote! { (#index, ::veritee::Call::Entry(payload)) => { #run } })
        }
        Kind::Request => {
            let run = reply(port, all);
            Some(quote! { (#index, ::veritee::Call::Reply(outcome)) => { #run } })
        }
        Kind::Output { .. } | Kind::Reply { .. } | Kind::Late { .. } => None,
    };
    arm.into_iter().chain(late).collect()
}

/// What is carried forwards and backwards on a port.
fn types(port: &Port) -> (Type, Option<Type>) {
    let unit: Type = syn::parse_quote!(());
    let parameters = port.parameters();
    let payload = match port.kind {
        Kind::Output { .. } | Kind::Request => parameters.first().map(|typed| (*typed.ty).clone()),
        _ => parameters.get(1).map(|typed| (*typed.ty).clone()),
    };
    let token = parameters.get(2).and_then(|typed| first_argument(&typed.ty));
    let answer =
        token.or_else(|| port.returns().map(|returned| result_value(returned).unwrap_or_else(|| returned.clone())));
    (payload.unwrap_or(unit), answer)
}

/// The `T` of `Name<T, …>`.
fn first_argument(of: &Type) -> Option<Type> {
    let Type::Path(path) = of else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(inner) => Some(inner.clone()),
        _ => None,
    })
}

/// The `T` of `Result<T, u16>`.
fn result_value(of: &Type) -> Option<Type> {
    let Type::Path(path) = of else { return None };
    (path.path.segments.last()?.ident == "Result").then(|| first_argument(of))?
}

fn info(port: &Port, all: &[Port]) -> TokenStream {
    let (payload, answer) = types(port);
    let name = port.name().to_string();
    let kind = match port.kind {
        Kind::Input => quote!(Input),
        Kind::Output { .. } => quote!(Output),
        Kind::Request => quote!(Request),
        Kind::Handler => quote!(Handler),
        _ => quote!(Entry),
    };
    let emits = match port.kind {
        Kind::Output { emits } => emits,
        Kind::Request => 1,
        _ => 0,
    };
    let emits = u16::try_from(emits).unwrap_or(u16::MAX);
    let flags = if late_of(port, all).is_some() { quote!(::veritee::FLAG_LATE) } else { quote!(0) };
    let span = port.name().span();
    let port = quote_spanned!(span => ::veritee::port::<#payload>(::veritee::PortKind::#kind, #name, #emits, #flags));
    match answer {
        Some(answer) => quote_spanned!(span => ::veritee::replying::<#answer>(#port)),
        None => port,
    }
}

/// The module's own `Io`: outputs borrow it, requests consume it.
fn io(ports: &[&Port]) -> TokenStream {
    let methods = ports.iter().enumerate().filter_map(|(index, port)| {
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        let (name, docs) = (port.name(), &port.docs);
        let (payload, _) = types(port);
        match port.kind {
            Kind::Output { .. } => Some(quote! {
                #(#docs)*
                pub fn #name(&mut self, payload: &#payload) {
                    ::veritee::Message::give(payload, |bytes| self.0.emit(::veritee::PortIndex(#index), bytes));
                }
            }),
            Kind::Request => Some(quote! {
                #(#docs)*
                /// Ends the handler. Gives `io` back when nothing is connected.
                pub fn #name(self, payload: &#payload) -> ::core::result::Result<(), Self> {
                    let sent = ::veritee::Message::give(payload, |bytes| self.0.request(::veritee::PortIndex(#index), bytes));
                    if sent { ::core::result::Result::Ok(()) } else { ::core::result::Result::Err(self) }
                }
            }),
            _ => None,
        }
    });
    let answers = ports.iter().any(|port| matches!(port.kind, Kind::Handler)).then(|| {
        quote! {
            /// Answers a request later than in its handler.
            pub fn answer<T: ::veritee::Message>(&mut self, token: ::veritee::Token<T>, value: &T) {
                value.give(|bytes| self.0.answer(token.into_inner(), ::core::result::Result::Ok(bytes)));
            }

            /// Refuses a request later than in its handler, with a code of the author's.
            pub fn refuse<T>(&mut self, token: ::veritee::Token<T>, code: u16) {
                self.0.answer(token.into_inner(), ::core::result::Result::Err(code));
            }
        }
    });
    quote! {
        /// What this module's handlers may do: its outputs, its requests, answers.
        #[allow(missing_debug_implementations)]
        pub struct Io<'a>(::veritee::RawIo<'a>);

        #[allow(dead_code)]
        impl Io<'_> {
            #(#methods)*
            #answers
        }
    }
}

fn io_argument(port: &Port) -> TokenStream {
    if port.borrows() { quote!(&mut io) } else { quote!(io) }
}

fn input(port: &Port) -> TokenStream {
    let (name, io, (payload, _)) = (port.name(), io_argument(port), types(port));
    quote! {
        let payload = ::veritee::decode::<#payload>(payload)?;
        self.#name(#io, payload);
    }
}

fn handler(port: &Port) -> TokenStream {
    let (name, io) = (port.name(), io_argument(port));
    let (payload, answer) = types(port);
    let decode = quote!(let payload = ::veritee::decode::<#payload>(payload)?;);
    if port.parameters().len() == 3 {
        return quote! {
            #decode
            self.#name(#io, payload, ::veritee::Token::new(token));
        };
    }
    let fallible = port.returns().is_some_and(|returned| result_value(returned).is_some());
    let answered = if fallible {
        quote! {
            match self.#name(#io, payload) {
                ::core::result::Result::Ok(answer) => io.answer(token, &answer),
                ::core::result::Result::Err(code) => io.refuse(token, code),
            }
        }
    } else {
        quote! {
            let answer = self.#name(#io, payload);
            io.answer(token, &answer);
        }
    };
    quote! {
        #decode
        let token = ::veritee::Token::<#answer>::new(token);
        #answered
    }
}

fn entry(port: &Port) -> TokenStream {
    let (name, io) = (port.name(), io_argument(port));
    let (payload, response) = types(port);
    let (decode, arguments) = if port.parameters().len() == 2 {
        (quote!(let payload = ::veritee::decode::<#payload>(payload)?;), quote!(, payload))
    } else {
        (quote!(::veritee::decode::<()>(payload)?;), quote!())
    };
    let Some(response) = response else {
        return quote! {
            #decode
            self.#name(#io #arguments);
        };
    };
    quote! {
        #decode
        let response: #response = self.#name(#io #arguments);
        ::veritee::Message::give(&response, |bytes| io.0.respond(bytes));
    }
}

fn reply(port: &Port, all: &[Port]) -> TokenStream {
    let answers = |other: &&Port| matches!(&other.kind, Kind::Reply { request: Some(name) } if name == port.name());
    let Some(continuation) = all.iter().find(answers) else { return quote!() };
    let (_, answer) = types(port);
    let (name, io) = (continuation.name(), io_argument(continuation));
    // An outcome of another type is complained of where it is written.
    let span = continuation.parameters().get(1).map_or_else(|| name.span(), |typed| typed.ty.span());
    let outcome = Ident::new("outcome", span);
    quote! {
        let outcome = match outcome {
            ::core::result::Result::Ok(bytes) => ::core::result::Result::Ok(::veritee::decode::<#answer>(bytes)?),
            ::core::result::Result::Err(refusal) => ::core::result::Result::Err(refusal),
        };
        self.#name(#io, #outcome);
    }
}

fn late_of<'a>(port: &Port, all: &'a [Port]) -> Option<&'a Port> {
    all.iter().find(|other| matches!(&other.kind, Kind::Late { input: Some(name) } if name == port.name()))
}

/// Saving and restoring, where the state can move.
fn movable(declared: &Declared) -> Option<TokenStream> {
    let state = &declared.block.self_ty;
    let span = state.span();
    declared.arguments.movable.then(|| {
        let save = quote_spanned!(span => ::veritee::save::<#state>(self, state));
        let restore = quote_spanned!(span => ::veritee::restore::<#state>(state)?);
        quote! {
            const STATE_BYTES: usize = <#state as ::veritee::Layout>::BYTES;
            fn save(&self, state: &mut [u8]) {
                #save;
            }
            fn restore(&mut self, state: &[u8]) -> ::core::result::Result<(), ::veritee::Malformed> {
                *self = #restore;
                ::core::result::Result::Ok(())
            }
        }
    })
}
