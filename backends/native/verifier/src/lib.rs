//! veritee-native-verifier
