//! `#[derive(Payload)]`: a fixed little-endian layout, field after field.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DataEnum, DeriveInput, Error, Fields, Ident, Result, Type};

/// Derives the layout of a struct or of an enum without fields.
pub(crate) fn derive(item: &DeriveInput) -> Result<TokenStream> {
    if !item.generics.params.is_empty() {
        return Err(Error::new(item.generics.span(), "a payload has one layout and cannot be generic"));
    }
    match &item.data {
        Data::Struct(data) => derive_struct(&item.ident, &data.fields),
        Data::Enum(data) => derive_enum(item, data),
        Data::Union(data) => Err(Error::new(data.union_token.span(), "a payload is a struct or an enum")),
    }
}

fn derive_struct(name: &Ident, fields: &Fields) -> Result<TokenStream> {
    let Fields::Named(fields) = fields else {
        let advice = "a payload has named fields: other languages call them by name";
        return Err(Error::new(name.span(), advice));
    };
    let names: Vec<&Ident> = fields.named.iter().filter_map(|field| field.ident.as_ref()).collect();
    let types: Vec<&Type> = fields.named.iter().map(|field| &field.ty).collect();
    let laws = types.iter().enumerate().map(|(index, inner)| {
        let last = index + 1 == types.len();
        // Evaluated here, so that a field without length is complained of where it stands.
        quote_spanned!(inner.span() => const _: () = ::veritee::field::<#inner>(#last);)
    });
    let puts = fields.named.iter().map(|field| {
        let (name, span) = (&field.ident, field.ty.span());
        quote_spanned!(span => ::veritee::Layout::put(&self.#name, writer);)
    });
    let takes = fields.named.iter().map(|field| {
        let (name, span) = (&field.ident, field.ty.span());
        quote_spanned!(span => #name: ::veritee::Layout::take(reader)?,)
    });
    let texts = names.iter().map(ToString::to_string);
    let text = name.to_string();
    Ok(quote! {
        #(#laws)*
        impl ::veritee::Payload for #name {
            const NAME: &'static str = #text;
            const TRAILING: bool = false #(|| <#types as ::veritee::Payload>::TRAILING)*;
            const HASH: ::veritee::TypeHash = ::veritee::Hasher::new(#text)
                #(.field(#texts, <#types as ::veritee::Payload>::HASH))*
                .finish();
        }
        impl ::veritee::Layout for #name {
            const BYTES: usize = 0 #(+ <#types as ::veritee::Layout>::BYTES)*;
            fn put(&self, writer: &mut ::veritee::Writer<'_>) {
                #(#puts)*
            }
            fn take(reader: &mut ::veritee::Reader<'_>) -> ::core::result::Result<Self, ::veritee::Malformed> {
                ::core::result::Result::Ok(Self { #(#takes)* })
            }
        }
        impl ::veritee::Message for #name {
            fn give<R>(&self, to: impl FnOnce(&[u8]) -> R) -> R {
                let mut bytes = [0; <#name as ::veritee::Layout>::BYTES];
                to(::veritee::encode(self, &mut bytes))
            }
        }
    })
}

fn derive_enum(item: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let name = &item.ident;
    let number = representation(item)?;
    let mut variants = Vec::new();
    let mut numbers = Vec::new();
    for variant in &data.variants {
        let Some((_, value)) = variant.discriminant.as_ref().filter(|_| matches!(variant.fields, Fields::Unit)) else {
            let advice = "a variant of a payload has a number and no fields: `Name = 1`";
            return Err(Error::new(variant.span(), advice));
        };
        variants.push(&variant.ident);
        numbers.push(value);
    }
    let texts = variants.iter().map(ToString::to_string);
    let text = name.to_string();
    let constants: Vec<Ident> = (0..variants.len()).map(|index| format_ident!("V{index}")).collect();
    Ok(quote! {
        impl ::veritee::Payload for #name {
            const NAME: &'static str = #text;
            const HASH: ::veritee::TypeHash = ::veritee::Hasher::new(#text)
                .field("", <#number as ::veritee::Payload>::HASH)
                #(.field(#texts, ::veritee::TypeHash((Self::#variants as u64).to_le_bytes())))*
                .finish();
        }
        impl ::veritee::Layout for #name {
            const BYTES: usize = ::core::mem::size_of::<#number>();
            fn put(&self, writer: &mut ::veritee::Writer<'_>) {
                let number: #number = match self { #(Self::#variants => #numbers,)* };
                ::veritee::Layout::put(&number, writer);
            }
            fn take(reader: &mut ::veritee::Reader<'_>) -> ::core::result::Result<Self, ::veritee::Malformed> {
                #(const #constants: #number = #numbers;)*
                match <#number as ::veritee::Layout>::take(reader)? {
                    #(#constants => ::core::result::Result::Ok(Self::#variants),)*
                    _ => ::core::result::Result::Err(::veritee::Malformed),
                }
            }
        }
        impl ::veritee::Message for #name {
            fn give<R>(&self, to: impl FnOnce(&[u8]) -> R) -> R {
                let mut bytes = [0; <#name as ::veritee::Layout>::BYTES];
                to(::veritee::encode(self, &mut bytes))
            }
        }
    })
}

/// The integer of `#[repr(u8)]`.
fn representation(item: &DeriveInput) -> Result<Ident> {
    for attribute in item.attrs.iter().filter(|attribute| attribute.path().is_ident("repr")) {
        let Ok(number) = attribute.parse_args::<Ident>() else { continue };
        if ["u8", "u16", "u32", "i8", "i16", "i32"].iter().any(|allowed| number == allowed) {
            return Ok(number);
        }
    }
    Err(Error::new(
        item.ident.span(),
        "an enum as payload says how long it is, and nothing else: `#[repr(u8)]`, `u16` or `u32`",
    ))
}
