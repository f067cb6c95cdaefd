//! veritee-native-runtime
