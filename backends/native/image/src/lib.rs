//! veritee-native-image
